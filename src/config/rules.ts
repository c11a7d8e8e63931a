// Checks an array of rules: every problem of every rule, each with the key it is at.

import { unknownWords } from './keys.ts'
import type { Rule, RulesKey } from './key-types.ts'
import { fieldName, isTable, notAllowedWords, quoteKey } from './text.ts'
import { acceptValue, allowedWords } from './values.ts'

export interface AcceptedRules {
  /** In the file's order. */
  readonly rules: readonly Rule[]
  readonly problems: readonly RuleProblem[]
}

export interface RuleProblem {
  /** From 0. */
  readonly index: number
  /** As it stands there; absent: the rule as a whole. */
  readonly key?: string
  readonly text: string
}

/** @returns undefined when it is no array of tables. */
export function acceptRules(definition: RulesKey, raw: unknown): AcceptedRules | undefined {
  if (!Array.isArray(raw) || !raw.every(isTable)) return undefined
  const checked = raw.map(table => checkRule(definition, table))
  return {
    rules: checked.map(({ rule }) => rule),
    problems: checked.flatMap(({ problems }, index) => problems.map(problem => ({ index, ...problem }))),
  }
}

interface CheckedRule {
  readonly rule: Rule
  readonly problems: Omit<RuleProblem, 'index'>[]
}

function checkRule({ matchers, actions }: RulesKey, table: Record<string, unknown>): CheckedRule {
  const keys = { ...matchers, ...actions }
  const [rule, problems]: [[string, Rule[string]][], CheckedRule['problems']] = [[], []]
  for (const [key, raw] of Object.entries(table)) {
    const definition = Object.hasOwn(keys, key) ? keys[key] : undefined
    const value = definition && acceptValue(definition, raw)
    if (value !== undefined) rule.push([fieldName(key), value])
    else
      problems.push({
        key,
        text: definition
          ? notAllowedWords(raw, allowedWords(definition))
          : unknownWords(quoteKey(key), Object.keys(keys)),
      })
  }
  // A misspelled key may have been the action that is missing.
  const doesNothing = !Object.keys(table).some(
    key => Object.hasOwn(actions, key) || !Object.hasOwn(keys, key),
  )
  if (doesNothing) {
    const what = Object.keys(table).length === 0 ? 'is an empty rule' : 'says nothing to do'
    problems.push({ text: `${what}; it needs one of ${Object.keys(actions).join(', ')}` })
  }
  return { rule: Object.fromEntries(rule), problems }
}
