// Types of keys, as the table of the configuration has them, and the types of values that follow from them.

import type { Rate } from '../units.ts'

interface KeyBase<T> {
  /** What a reader of the example file needs to know; wrapped when printed. */
  readonly text: string
  /** Used when the file does not name the key; `undefined`: unset is a value of its own. */
  readonly default: T
}
/** What a text must look like, and how to say so. */
interface Form {
  readonly pattern: RegExp
  readonly words: string
}

export interface TextKey<T extends string | undefined = string | undefined> extends KeyBase<T> {
  readonly type: 'text'
  readonly form?: Form
  /** A value for the example file, where the default is unset. */
  readonly example?: string
}
export interface ChoiceKey<C extends string = string> extends KeyBase<C> {
  readonly type: 'choice'
  readonly choices: readonly C[]
}
export interface BooleanKey extends KeyBase<boolean> {
  readonly type: 'boolean'
}
export interface IntegerKey extends KeyBase<number> {
  readonly type: 'integer'
  readonly min: number
  readonly max: number
}
/** Bytes: an integer, or a text such as "32GiB". */
export interface SizeKey extends KeyBase<number> {
  readonly type: 'size'
  readonly min: number
  readonly max: number
}
/** Seconds, from a text such as "7d". */
export interface DurationKey extends KeyBase<number> {
  readonly type: 'duration'
  readonly min: number
  readonly max: number
}
export interface ListKey extends KeyBase<readonly string[]> {
  readonly type: 'list'
  readonly form: Form
}
/** So many in a time: `5/hour`. */
export interface RateKey extends KeyBase<Rate> {
  readonly type: 'rate'
}
/** An array of tables, each a rule: what it must find, and what it then says. In the file only. */
export interface RulesKey extends KeyBase<readonly []> {
  readonly type: 'rules'
  /** What the key takes. */
  readonly words: string
  readonly matchers: Readonly<Record<string, RuleKey>>
  readonly actions: Readonly<Record<string, RuleKey>>
  /** For the example file. */
  readonly example: readonly Rule[]
}
export type ConfigKey =
  TextKey | ChoiceKey | BooleanKey | IntegerKey | SizeKey | DurationKey | ListKey | RateKey | RulesKey

/** A key of a rule. It has no default: what a rule does not say is not asked for, or left as it is. */
export type RuleKey = { readonly text: string } & (
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  | { readonly type: 'size'; readonly min: number; readonly max: number }
  /** A glob, or a list of globs of which one must match. */
  | { readonly type: 'globs'; readonly form: Form }
  /** A table from names to globs, all of which must match. */
  | { readonly type: 'globs-by-name' }
  /** Names or numbers. */
  | { readonly type: 'signals' }
  /** `5/hour` */
  | { readonly type: 'rate' }
)

export type RuleValue = string | number | readonly string[] | readonly number[] | GlobsByName | Rate
export type GlobsByName = Readonly<Record<string, string>>
/** Any rule, by field (`coreBytesMax`). */
export type Rule = Readonly<Record<string, RuleValue>>

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<Camel<Tail>>}`
  : S
type Value<K extends ConfigKey> = K extends TextKey
  ? K['default'] extends string
    ? string
    : string | undefined
  : K extends ChoiceKey
    ? K['choices'][number]
    : K extends BooleanKey
      ? boolean
      : K extends ListKey
        ? readonly string[]
        : K extends RateKey
          ? Rate
          : K extends RulesKey
            ? readonly RuleOf<K>[]
            : number
type ValueInRule<K extends RuleKey> = K extends { type: 'choice'; choices: readonly (infer C)[] }
  ? C
  : {
      choice: string
      size: number
      globs: readonly string[]
      'globs-by-name': GlobsByName
      signals: readonly number[]
      rate: Rate
    }[K['type']]
type Keys<K extends RulesKey> = K['matchers'] & K['actions']

/** The effective values of a section. */
export type Fields<S extends Readonly<Record<string, ConfigKey>>> = {
  readonly [K in keyof S & string as Camel<K>]: Value<S[K]>
}
/** A rule, in its fields' own types. */
export type RuleOf<K extends RulesKey> = {
  readonly [N in keyof Keys<K> & string as Camel<N>]?: ValueInRule<Keys<K>[N]>
}
