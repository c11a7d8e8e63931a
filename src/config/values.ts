// What each type of key takes: as a check, in words, and written as TOML.

import { signalName, signalNumber } from '../signals.ts'
import {
  DURATION_WORDS,
  formatDuration,
  formatRate,
  formatSize,
  parseDuration,
  parseRate,
  parseSize,
  RATE_WORDS,
  SIZE_WORDS,
} from '../units.ts'
import type { Rate } from '../units.ts'
import type { ConfigKey, GlobsByName, Rule, RuleKey, RulesKey, RuleValue } from './key-types.ts'
import { fieldName, isTable, quoteKey, quoteText } from './text.ts'

export type ConfigValue = string | number | boolean | readonly string[] | readonly Rule[] | Rate | undefined

/** Rules are for `acceptRules`, which says what is wrong in them. */
type ValueKey = Exclude<ConfigKey, RulesKey>

/** signal(7): real-time signals end there. */
const SIGNAL_MAX = 64

/**
 * Checks a value as it stands in the file.
 * @returns The effective value (a size in bytes), or undefined when the key does not take it.
 */
export function acceptValue(key: ValueKey, raw: unknown): ConfigValue
export function acceptValue(key: RuleKey, raw: unknown): RuleValue | undefined
export function acceptValue(key: ValueKey | RuleKey, raw: unknown): ConfigValue | RuleValue {
  switch (key.type) {
    case 'text':
      return typeof raw === 'string' && (key.form?.pattern.test(raw) ?? true) ? raw : undefined
    case 'choice':
      return key.choices.find(choice => choice === raw)
    case 'boolean':
      return typeof raw === 'boolean' ? raw : undefined
    case 'integer':
      return acceptInteger(key, raw)
    case 'size':
      return acceptInteger(key, typeof raw === 'string' ? parseSize(raw) : raw)
    case 'duration':
      return typeof raw === 'string' ? acceptInteger(key, parseDuration(raw)) : undefined
    case 'list':
      return acceptEvery(raw, item => acceptText(key.form.pattern, item))
    case 'globs':
      return acceptSome(raw, item => acceptText(key.form.pattern, item))
    case 'globs-by-name':
      return acceptGlobsByName(raw)
    case 'signals':
      return acceptSome(raw, acceptSignal)
    case 'rate':
      return typeof raw === 'string' ? parseRate(raw) : undefined
  }
}

function acceptInteger({ min, max }: { min: number; max: number }, raw: unknown): number | undefined {
  return typeof raw === 'number' && Number.isInteger(raw) && raw >= min && raw <= max ? raw : undefined
}

function acceptText(pattern: RegExp, raw: unknown): string | undefined {
  return typeof raw === 'string' && pattern.test(raw) ? raw : undefined
}

function acceptSignal(raw: unknown): number | undefined {
  const signal = typeof raw === 'string' ? signalNumber(raw) : raw
  return acceptInteger({ min: 1, max: SIGNAL_MAX }, signal)
}

function acceptGlobsByName(raw: unknown): GlobsByName | undefined {
  const entries = isTable(raw) ? Object.entries(raw) : []
  const areGlobs = entries.length > 0 && entries.every(([, glob]) => typeof glob === 'string')
  return areGlobs ? (Object.fromEntries(entries) as GlobsByName) : undefined
}

function acceptEvery<T>(raw: unknown, accept: (item: unknown) => T | undefined): T[] | undefined {
  const items = Array.isArray(raw) ? raw.map(accept) : [undefined]
  return items.includes(undefined) ? undefined : (items as T[])
}

/** One, or a list of some: an empty list would match nothing, which nobody means. */
function acceptSome<T>(raw: unknown, accept: (item: unknown) => T | undefined): T[] | undefined {
  const items = acceptEvery(Array.isArray(raw) ? raw : [raw], accept)
  return items?.length === 0 ? undefined : items
}

/** Turns the text of an environment variable or flag into what would stand in the file. Lists are split at commas. */
export function rawFromText(key: ConfigKey, text: string): unknown {
  if (key.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (key.type === 'integer') return /^\d+$/.test(text) ? Number(text) : text
  if (key.type === 'list') return text.split(',').map(item => item.trim())
  return text
}

/** What a key takes, for messages and documentation: "a whole number from 1 to 1024". */
export function allowedWords(key: ConfigKey | RuleKey): string {
  switch (key.type) {
    case 'text':
      return key.form?.words ?? 'a text'
    case 'choice':
      return `one of ${key.choices.map(choice => JSON.stringify(choice)).join(', ')}`
    case 'boolean':
      return 'true or false'
    case 'integer':
      return `a whole number from ${key.min} to ${key.max}`
    case 'size':
      return `${SIZE_WORDS}, up to ${formatSize(key.max)}`
    case 'duration':
      return `${DURATION_WORDS}, from ${formatDuration(key.min)} to ${formatDuration(key.max)}`
    case 'list':
      return `a list of ${key.form.words}`
    case 'rules':
      return key.words
    case 'globs':
      return `${key.form.words}, or a list of such`
    case 'globs-by-name':
      return 'a table such as { app = "cart*", "example.com/tier" = "web" }, of names and globs'
    case 'signals':
      return `a signal such as "SIGSEGV" or a number from 1 to ${SIGNAL_MAX}, or a list of such`
    case 'rate':
      return RATE_WORDS
  }
}

/** A value as TOML; undefined has none. Rules take a line each. */
export function tomlValue(
  key: ConfigKey | RuleKey,
  value: Exclude<ConfigValue, undefined> | RuleValue,
): string {
  switch (key.type) {
    case 'size':
      return JSON.stringify(formatSize(value as number))
    case 'duration':
      return JSON.stringify(formatDuration(value as number))
    case 'rate':
      return JSON.stringify(formatRate(value as Rate))
    case 'list':
      return tomlArray((value as readonly string[]).map(quoteText))
    case 'globs':
      return oneOrArray((value as readonly string[]).map(quoteText))
    case 'signals':
      return oneOrArray((value as readonly number[]).map(signalToml))
    case 'globs-by-name':
      return tomlTable(Object.entries(value as GlobsByName).map(([name, glob]) => [name, quoteText(glob)]))
    case 'rules': {
      const lines = (value as readonly Rule[]).map(rule => `  ${tomlTable(ruleToml(key, rule))},\n`)
      return lines.length === 0 ? '[]' : `[\n${lines.join('')}]`
    }
  }
  return typeof value === 'string' ? quoteText(value) : JSON.stringify(value)
}

/** A rule's keys with their values as TOML, in the table's order. */
export function ruleToml({ matchers, actions }: RulesKey, rule: Rule): [key: string, value: string][] {
  return Object.entries({ ...matchers, ...actions }).flatMap(([key, definition]) => {
    const value = rule[fieldName(key)]
    return value === undefined ? [] : [[key, tomlValue(definition, value)]]
  })
}

function tomlTable(entries: readonly (readonly [key: string, value: string])[]): string {
  return `{ ${entries.map(([key, value]) => `${quoteKey(key)} = ${value}`).join(', ')} }`
}

function tomlArray(items: readonly string[]): string {
  return `[${items.join(', ')}]`
}

function oneOrArray(items: readonly string[]): string {
  return items.length === 1 ? items[0]! : tomlArray(items)
}

/** Real-time signals have no name that could be read back. */
function signalToml(signal: number): string {
  const name = signalName(signal)
  return signalNumber(name) === signal ? JSON.stringify(name) : String(signal)
}
