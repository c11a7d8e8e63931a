// The effective configuration: flags over environment over file over defaults. Every problem is found before any is
// complained about.

import { closest, distance } from 'fastest-levenshtein'
import { CoreliftError } from '../errors.ts'
import { acceptValue, allowedWords, CONFIG_KEYS, escapeInvisible } from './keys.ts'
import type { ConfigValue } from './keys.ts'
import { gatherSettings, isTable, SOURCES } from './settings.ts'
import type { ConfigSources, Place } from './settings.ts'
import { CONFIG_TABLE } from './table.ts'
import type { Config, ConfigKeyName } from './table.ts'

/** Something that keeps the configuration from being used. */
export interface ConfigProblem {
  /** `/etc/corelift/config.toml:7`, `environment CORELIFT_STORE_URL`, `flag`. */
  readonly where: string
  /** In the file. */
  readonly line?: number
  readonly key?: string
  /** What is wrong, what stands there and what is allowed; no control bytes. */
  readonly text: string
}

export interface LoadedConfig {
  readonly config: Config
  /** Where each value comes from: `default`, `FILE:LINE`, `environment VARIABLE`, `flag`. */
  readonly origins: ReadonlyMap<ConfigKeyName, string>
  /** The file that was read. */
  readonly file: string | undefined
}

/** What the sources say, as far as it can be used. */
export interface ConfigExamination extends LoadedConfig {
  readonly problems: readonly ConfigProblem[]
}

/**
 * Loads the configuration.
 * @throws CoreliftError `E_CONFIG`; its message has one line for each problem.
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const { problems, ...loaded } = examineConfig(sources)
  if (problems.length === 0) return loaded
  throw new CoreliftError('E_CONFIG', problems.map(renderProblem).join('\n'), {
    hint: 'corelift config defaults prints every key with what it takes',
  })
}

/** Reads and checks everything. @returns Values (the default where one is wrong) and all problems; never throws. */
export function examineConfig(sources: ConfigSources): ConfigExamination {
  const { file, settings, fileProblem } = gatherSettings(sources)
  const problems: ConfigProblem[] = fileProblem ? [fileProblem] : []
  const effective: Effective = new Map()
  for (const { name, definition } of CONFIG_KEYS) {
    const setting = settings.get(name)
    settings.delete(name)
    if (setting === undefined) {
      effective.set(name, { value: definition.default, place: DEFAULT_PLACE, wrong: false })
      continue
    }
    const value = acceptValue(definition, setting.raw)
    const wrong = value === undefined
    effective.set(name, { value: value ?? definition.default, place: setting, wrong })
    if (wrong) {
      const text = `${quoteRaw(setting.raw)} is not allowed; allowed: ${allowedWords(definition)}`
      problems.push(problemAt(setting, name, text))
    }
  }
  for (const [name, setting] of settings) problems.push(problemAt(setting, name, unknownWords(name)))
  // What stands in a file that cannot be read is not known to be missing.
  if (!fileProblem) problems.push(...contradictions(effective, sources.required ?? []))

  problems.sort((a, b) => (a.line ?? Number.MAX_VALUE) - (b.line ?? Number.MAX_VALUE))
  const origins = new Map([...effective].map(([name, { place }]) => [name, place.where]))
  return { config: nested(effective), origins, file, problems }
}

/** `FILE:LINE: KEY: what is wrong`. */
export function renderProblem({ where, key, text }: ConfigProblem): string {
  return key === undefined ? `${where}: ${text}` : `${where}: ${key}: ${text}`
}

type Effective = Map<
  ConfigKeyName,
  {
    readonly value: ConfigValue
    readonly place: Place
    /** What was set is not allowed: the value is the default. */
    readonly wrong: boolean
  }
>
const DEFAULT_PLACE: Place = { where: 'default', source: 'default' }

/** What is wrong between keys, each by itself allowed. */
function contradictions(effective: Effective, required: readonly ConfigKeyName[]): ConfigProblem[] {
  const problems: ConfigProblem[] = []
  for (const name of required) {
    const { value, wrong } = effective.get(name)!
    if (value === undefined && !wrong)
      problems.push({ where: 'configuration', key: name, text: 'is not set' })
  }
  if (String(effective.get('store.url')!.value).startsWith('file:')) {
    for (const name of S3_ONLY.filter(name => isMeantFor(effective, name, 'store.url'))) {
      problems.push(problemAt(effective.get(name)!.place, name, 'has no meaning for a file:// store'))
    }
  }
  const encryption = effective.get('store.encryption')!
  const encryptsWithKey = encryption.wrong || encryption.value === 'sse-kms'
  if (!encryptsWithKey && isMeantFor(effective, 'store.kms_key_id', 'store.encryption')) {
    const { place } = effective.get('store.kms_key_id')!
    problems.push(problemAt(place, 'store.kms_key_id', 'needs store.encryption = "sse-kms"'))
  }
  return problems
}

/** A flag may turn to another store than the file's: what the file says of that one then does not matter. */
function isMeantFor(effective: Effective, name: ConfigKeyName, other: ConfigKeyName): boolean {
  const { place, wrong } = effective.get(name)!
  if (wrong || place.source === 'default') return false
  return SOURCES.indexOf(place.source) >= SOURCES.indexOf(effective.get(other)!.place.source)
}

const S3_ONLY = [
  'store.endpoint',
  'store.region',
  'store.path_style',
  'store.credentials_file',
  'store.ca_file',
  'store.encryption',
  'store.kms_key_id',
] as const satisfies readonly ConfigKeyName[]

/** @param name - As it stands in the file, of no key in the table. */
function unknownWords(name: string): string {
  if (Object.hasOwn(CONFIG_TABLE, name)) return `is a section: its keys stand below [${name}]`
  const names = [...CONFIG_KEYS.map(key => key.name), ...Object.keys(CONFIG_TABLE)]
  const namesake = CONFIG_KEYS.find(({ key }) => key === name.split('.').at(-1))?.name
  const near = namesake ?? closest(name, names)
  // A third of the letters wrong is a typing error; more is another word.
  const isNear = near === namesake || distance(name, near) <= Math.max(2, name.length / 3)
  return isNear ? `is not a key; did you mean ${near}?` : 'is not a key'
}

function problemAt({ where, line }: Place, key: string, text: string): ConfigProblem {
  return line === undefined ? { where, key, text } : { where, line, key, text }
}

/** `budget.core_bytes_max` becomes `budget.coreBytesMax`. */
function nested(effective: Effective): Config {
  const sections: Record<string, Record<string, ConfigValue>> = {}
  for (const { name, section, field } of CONFIG_KEYS)
    (sections[section] ??= {})[field] = effective.get(name)!.value
  return sections as unknown as Config
}

/** A value in a message. Long ones are cut: a message is a line. */
function quoteRaw(raw: unknown): string {
  if (isTable(raw)) return 'a table'
  const text = typeof raw === 'number' ? String(raw) : escapeInvisible(JSON.stringify(raw))
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}
