// The table of keys as a list, and names that are near those in it.

import { closest, distance } from 'fastest-levenshtein'
import type { ConfigKey } from './key-types.ts'
import { CONFIG_TABLE } from './table.ts'
import type { ConfigKeyName } from './table.ts'
import { fieldName } from './text.ts'

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

/** In the table's order. */
export const CONFIG_KEYS: readonly NamedKey[] = Object.entries(CONFIG_TABLE).flatMap(([section, keys]) =>
  Object.entries(keys as Record<string, ConfigKey>).map(([key, definition]) => ({
    name: `${section}.${key}` as ConfigKeyName,
    section,
    key,
    field: fieldName(key),
    variable: `CORELIFT_${section}_${key}`.toUpperCase(),
    definition,
  })),
)

/** @param name - As it stands in the file, of no key in the table. */
export function unknownKeyWords(name: string): string {
  if (Object.hasOwn(CONFIG_TABLE, name)) return `is a section: its keys stand below [${name}]`
  const namesake = CONFIG_KEYS.find(({ key }) => key === name.split('.').at(-1))?.name
  if (namesake !== undefined) return `is not a key; did you mean ${namesake}?`
  return unknownWords(name, [...CONFIG_KEYS.map(key => key.name), ...Object.keys(CONFIG_TABLE)])
}

/** @param names - Those that there are. */
export function unknownWords(name: string, names: readonly string[]): string {
  const near = closest(name, names)
  // A third of the letters wrong is a typing error; more is another word.
  const isNear = distance(name, near) <= Math.max(2, name.length / 3)
  return isNear ? `is not a key; did you mean ${near}?` : 'is not a key'
}
