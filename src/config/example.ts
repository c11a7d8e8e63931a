// The example file and the reference page, both from the table of keys.

import { CONFIG_KEYS } from './keys.ts'
import type { NamedKey } from './keys.ts'
import type { RuleKey, RulesKey } from './key-types.ts'
import { SYSTEM_CONFIG_FILE } from './settings.ts'
import { allowedWords, ruleToml, tomlValue } from './values.ts'

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
    for (const named of keys) lines.push('', ...exampleOf(named))
  }
  return `${lines.join('\n')}\n`
}

function exampleOf(named: NamedKey): string[] {
  const { name, key, definition } = named
  const lines = [...comment(definition.text), ...comment(`Takes ${allowedWords(definition)}.`)]
  if (definition.type === 'rules') return [...lines, ...exampleRules(name, definition)]
  if (definition.default === undefined) lines.push(...comment('Not set by default; for example:'))
  return [...lines, `#${key} = ${shownValue(named)}`]
}

function exampleRules(name: string, definition: RulesKey): string[] {
  const { matchers, actions, example } = definition
  const explained = (keys: Readonly<Record<string, RuleKey>>) =>
    Object.entries(keys).flatMap(([key, rule]) =>
      comment(`- ${key}: ${rule.text} Takes ${allowedWords(rule)}.`),
    )
  return [
    ...comment('A rule looks at:'),
    ...explained(matchers),
    ...comment('and says:'),
    ...explained(actions),
    ...comment('There is none by default; for example:'),
    ...example.flatMap(rule => [
      `#[[${name}]]`,
      ...ruleToml(definition, rule).map(([key, value]) => `#${key} = ${value}`),
    ]),
  ]
}

/** The reference as Markdown: a table a section, and one for the keys of rules. */
export function referenceMarkdown(): string {
  return sections()
    .flatMap(({ section, keys }) => [sectionMarkdown(section, keys), ...keys.flatMap(rulesMarkdown)])
    .join('\n')
}

function sectionMarkdown(section: string, keys: readonly NamedKey[]): string {
  const rows = keys.map(({ key, definition }) => [
    `\`${key}\``,
    allowedWords(definition),
    defaultCell(definition),
    definition.text,
  ])
  return tableMarkdown(`[${section}]`, ['Key', 'Takes', 'Default', ''], rows)
}

function rulesMarkdown({ name, definition }: NamedKey): string[] {
  if (definition.type !== 'rules') return []
  const { matchers, actions } = definition
  const rows = (keys: Readonly<Record<string, RuleKey>>, what: string) =>
    Object.entries(keys).map(([key, rule]) => [`\`${key}\``, what, allowedWords(rule), rule.text])
  const all = [...rows(matchers, 'looks at'), ...rows(actions, 'says')]
  return [tableMarkdown(`[[${name}]]`, ['Key', '', 'Takes', ''], all)]
}

function tableMarkdown(title: string, head: readonly string[], rows: readonly string[][]): string {
  const row = (cells: readonly string[]) => `| ${cells.map(cell).join(' | ')} |`
  return [
    `### \`${title}\``,
    '',
    row(head).replaceAll('  ', ' '),
    `|${head.map(() => '---|').join('')}`,
    ...rows.map(row),
    '',
  ].join('\n')
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
