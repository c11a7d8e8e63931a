// The effective configuration: flags over environment over file over defaults. Every problem is found before any is
// complained about.

import { CoreliftError } from '../errors.ts'
import { CONFIG_KEYS, unknownKeyWords } from './keys.ts'
import type { NamedKey } from './keys.ts'
import type { RulesKey } from './key-types.ts'
import { acceptRules } from './rules.ts'
import { gatherSettings, SOURCES } from './settings.ts'
import type { ConfigSources, Place, Setting } from './settings.ts'
import type { Config, ConfigKeyName } from './table.ts'
import { notAllowedWords, quoteKey } from './text.ts'
import { acceptValue, allowedWords } from './values.ts'
import type { ConfigValue } from './values.ts'

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
  for (const key of CONFIG_KEYS) {
    const { name, definition } = key
    const setting = settings.get(name)
    settings.delete(name)
    if (setting === undefined) {
      effective.set(name, { value: definition.default, place: DEFAULT_PLACE, wrong: false })
      continue
    }
    const accepted = accept(key, setting)
    problems.push(...accepted.problems)
    const wrong = accepted.problems.length > 0
    effective.set(name, { value: wrong ? definition.default : accepted.value, place: setting, wrong })
  }
  for (const [name, setting] of settings) problems.push(problemAt(setting, name, unknownKeyWords(name)))
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

interface Accepted {
  readonly value: ConfigValue
  /** None: the value can be used. */
  readonly problems: readonly ConfigProblem[]
}

function accept({ name, definition }: NamedKey, setting: Setting): Accepted {
  if (definition.type === 'rules') return acceptRulesAt(definition, name, setting)
  const value = acceptValue(definition, setting.raw)
  if (value !== undefined) return { value, problems: [] }
  const text = notAllowedWords(setting.raw, allowedWords(definition))
  return { value, problems: [problemAt(setting, name, text)] }
}

function acceptRulesAt(definition: RulesKey, name: string, setting: Setting): Accepted {
  const accepted = acceptRules(definition, setting.raw)
  if (accepted === undefined) {
    const text =
      setting.source === 'file'
        ? notAllowedWords(setting.raw, allowedWords(definition))
        : `can stand in the configuration file only; allowed there: ${allowedWords(definition)}`
    return { value: undefined, problems: [problemAt(setting, name, text)] }
  }
  const problems = accepted.problems.map(({ index, key, text }) => {
    const place = setting.placeIn(index, ...(key === undefined ? [] : [key]))
    // People count rules from 1, and so does a crash's manifest.
    const path = `${name}[${index + 1}]${key === undefined ? '' : `.${quoteKey(key)}`}`
    return problemAt(place, path, text)
  })
  return { value: accepted.rules, problems }
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
  const url = effective.get('store.url')!.value
  if (typeof url === 'string' && url.startsWith('file:')) {
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
