// corelift-config.toml(5), from the table of keys.

import { CONFIG_KEYS, type NamedKey } from '../../src/config/keys.ts'
import type { RuleKey } from '../../src/config/key-types.ts'
import { allowedWords, ruleToml, tomlValue } from '../../src/config/values.ts'
import {
  bold,
  page,
  paragraphs,
  prose,
  section,
  subsection,
  tagged,
  verbatim,
  type Page,
  type Release,
} from './roff.ts'

export function configPage(release: Release): Page {
  const sections = [...new Set(CONFIG_KEYS.map(key => key.section))]
  return page('corelift-config.toml', 5, 'configuration of corelift', release, [
    ...section(
      'SYNOPSIS',
      '.PP',
      bold('/etc/corelift/config.toml'),
      '.br',
      bold('~/.config/corelift/config.toml'),
    ),
    ...section('DESCRIPTION', ...paragraphs(ABOUT)),
    ...section('KEYS'),
    ...sections.flatMap(name =>
      subsection(bold(`[${name}]`), ...CONFIG_KEYS.filter(key => key.section === name).flatMap(keyEntry)),
    ),
    ...CONFIG_KEYS.flatMap(rulesSection),
    ...section('ENVIRONMENT', ...paragraphs(ENVIRONMENT)),
    ...section('EXAMPLES', ...verbatim(EXAMPLE)),
    ...section('SEE ALSO', '.PP', `${bold('corelift')}(1),`, `${bold('corelift-config')}(1)`),
  ])
}

const ABOUT = `One file in TOML, the same for the kernel's handler and for people. What \`--config FILE\` names counts, else the first \
that exists of \`$XDG_CONFIG_HOME/corelift/config.toml\`, \`~/.config/corelift/config.toml\` and \`/etc/corelift/config.toml\`. \
The handler reads the last alone, unless \`kernel.core_pattern\` says otherwise.

A key that does not exist is an error, and so is a value that is not allowed; \`corelift config check\` lists all of them. Sizes are \
bytes, or a text with a unit: "512MiB"; \`KiB\`, \`MiB\`, \`GiB\` and \`TiB\` are powers of 1024, \`KB\`, \`MB\`, \`GB\` and \`TB\` of 1000.`

const ENVIRONMENT = `\`CORELIFT_\`, section and key in capitals, prevails over the file: \`CORELIFT_STORE_URL\`. An empty variable counts \
as not set, and lists are separated by commas. The handler is started without an environment: for it the file alone counts.`

const EXAMPLE = ['[store]', 'url = "s3://my-bucket/my-cluster"', 'region = "eu-central-1"']

function keyEntry({ key, definition }: NamedKey): string[] {
  const usual =
    definition.default === undefined ? '' : ` Default: \`${tomlValue(definition, definition.default)}\`.`
  return tagged(bold(key), `${definition.text} Takes ${allowedWords(definition)}.${usual}`)
}

/** An array of tables has keys of its own. */
function rulesSection({ name, definition }: NamedKey): string[] {
  if (definition.type !== 'rules') return []
  const entries = (keys: Readonly<Record<string, RuleKey>>) =>
    Object.entries(keys).flatMap(([key, rule]) =>
      tagged(bold(key), `${rule.text} Takes ${allowedWords(rule)}.`),
    )
  const example = definition.example.flatMap(rule => [
    `[[${name}]]`,
    ...ruleToml(definition, rule).map(([key, value]) => `${key} = ${value}`),
  ])
  return [
    ...section(
      'RULES',
      '.PP',
      `${bold(`[[${name}]]`)}: ${prose('the first that matches decides, alone. It looks at:')}`,
    ),
    ...entries(definition.matchers),
    ...paragraphs('and says:'),
    ...entries(definition.actions),
    ...paragraphs('For example:'),
    ...verbatim(example),
  ]
}
