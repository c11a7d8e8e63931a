// The table of keys as a list, and what each key takes: in words, in TOML, and as a check.

import { CONFIG_TABLE } from './table.ts'
import type { ConfigKey, ConfigKeyName } from './table.ts'
import { formatSize, parseSize, SIZE_WORDS } from './units.ts'

export interface NamedKey {
  /** `budget.core_bytes_max` */
  readonly name: ConfigKeyName
  readonly section: string
  /** `core_bytes_max` */
  readonly key: string
  /** `coreBytesMax`, as in Config. */
  readonly field: string
  /** `CORELIFT_BUDGET_CORE_BYTES_MAX` */
  readonly variable: string
  readonly definition: ConfigKey
}

export type ConfigValue = string | number | boolean | readonly string[] | undefined

/** In the table's order. */
export const CONFIG_KEYS: readonly NamedKey[] = Object.entries(CONFIG_TABLE).flatMap(([section, keys]) =>
  Object.entries(keys as Record<string, ConfigKey>).map(([key, definition]) => ({
    name: `${section}.${key}` as ConfigKeyName,
    section,
    key,
    field: key.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
    variable: `CORELIFT_${section}_${key}`.toUpperCase(),
    definition,
  })),
)

/**
 * Checks a value as it stands in the file.
 * @returns The effective value (a size in bytes), or undefined when the key does not take it.
 */
export function acceptValue(key: ConfigKey, raw: unknown): ConfigValue {
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
    case 'list': {
      const { pattern } = key.form
      return Array.isArray(raw) && raw.every(item => typeof item === 'string' && pattern.test(item))
        ? raw
        : undefined
    }
  }
}

function acceptInteger({ min, max }: { min: number; max: number }, raw: unknown): number | undefined {
  return typeof raw === 'number' && Number.isInteger(raw) && raw >= min && raw <= max ? raw : undefined
}

/** Turns the text of an environment variable or flag into what would stand in the file. Lists are split at commas. */
export function rawFromText(key: ConfigKey, text: string): unknown {
  if (key.type === 'boolean') return text === 'true' ? true : text === 'false' ? false : text
  if (key.type === 'integer') return /^\d+$/.test(text) ? Number(text) : text
  if (key.type === 'list') return text.split(',').map(item => item.trim())
  return text
}

/** What a key takes, for messages and documentation: "a whole number from 1 to 1024". */
export function allowedWords(key: ConfigKey): string {
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
    case 'list':
      return `a list of ${key.form.words}`
  }
}

/** A value as TOML; undefined has none. */
export function tomlValue(key: ConfigKey, value: Exclude<ConfigValue, undefined>): string {
  if (key.type === 'size') return JSON.stringify(formatSize(value as number))
  if (Array.isArray(value)) return `[${value.map(item => quoteText(item)).join(', ')}]`
  return typeof value === 'string' ? quoteText(value) : String(value)
}

/** A text in quotes: valid TOML, and harmless to a terminal or a log. */
export function quoteText(text: string): string {
  return escapeInvisible(JSON.stringify(text))
}

/** Escapes every control, separator and format character: one line stays one line, and reads as it is. */
export function escapeInvisible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, character => {
    const hex = character.codePointAt(0)!.toString(16)
    return hex.length > 4 ? `\\U${hex.padStart(8, '0')}` : `\\u${hex.padStart(4, '0')}`
  })
}
