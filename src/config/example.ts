// The example file and the reference page, both from the table of keys.

import { allowedWords, CONFIG_KEYS, tomlValue } from './keys.ts'
import type { NamedKey } from './keys.ts'
import { SYSTEM_CONFIG_FILE } from './settings.ts'

const COLUMNS = 100

/**
 * A configuration file that says what every key is for and changes nothing: keys are commented out by a `#` without a
 * space behind it.
 */
export function exampleFile(): string {
  const lines = [
    ...comment(
      `corelift's configuration, ${SYSTEM_CONFIG_FILE}. Keys that are commented out show their default; those ` +
        'without a default show an example. An environment variable such as CORELIFT_STORE_URL prevails over the ' +
        'file, and a flag over both.',
    ),
  ]
  for (const { section, keys } of sections()) {
    lines.push('', `[${section}]`)
    for (const named of keys) {
      const { key, definition } = named
      lines.push('', ...comment(definition.text), ...comment(`Takes ${allowedWords(definition)}.`))
      const value = shownValue(named)
      if (definition.default === undefined) lines.push(...comment('Not set by default; for example:'))
      lines.push(`#${key} = ${value}`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** The reference as Markdown: a table a section. */
export function referenceMarkdown(): string {
  return sections()
    .map(({ section, keys }) =>
      [
        `### \`[${section}]\``,
        '',
        '| Key | Takes | Default | |',
        '|---|---|---|---|',
        ...keys.map(
          ({ key, definition }) =>
            `| \`${key}\` | ${cell(allowedWords(definition))} | ${defaultCell(definition)} | ${cell(definition.text)} |`,
        ),
        '',
      ].join('\n'),
    )
    .join('\n')
}

function sections(): { section: string; keys: NamedKey[] }[] {
  const bySection = new Map<string, NamedKey[]>()
  for (const key of CONFIG_KEYS) bySection.set(key.section, [...(bySection.get(key.section) ?? []), key])
  return [...bySection].map(([section, keys]) => ({ section, keys }))
}

/** The default, or an example where there is none. */
function shownValue({ definition }: NamedKey): string {
  const example = definition.type === 'text' ? definition.example : undefined
  return tomlValue(definition, definition.default ?? example ?? '')
}

function defaultCell(definition: NamedKey['definition']): string {
  return definition.default === undefined ? '' : `\`${tomlValue(definition, definition.default)}\``
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function comment(text: string): string[] {
  const lines = ['#']
  for (const word of text.split(' ')) {
    const longer = `${lines.at(-1)} ${word}`
    if (longer.length > COLUMNS) lines.push(`# ${word}`)
    else lines[lines.length - 1] = longer
  }
  return lines
}
