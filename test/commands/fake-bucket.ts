// A bucket in memory, in good order unless a test says otherwise.

import type { BucketAdmin, LifecycleRule } from '../../src/store/bucket.ts'

export class FakeBucket implements BucketAdmin {
  readonly bucket = 'cores'
  readonly prefix: string
  readonly region = 'eu-central-1'
  /** How often rules were set. */
  writes = 0
  rules: readonly LifecycleRule[]
  readonly #answers: Partial<BucketAdmin>

  constructor(rules: readonly LifecycleRule[] = [], answers: Partial<BucketAdmin> = {}, prefix = 'fleet/a') {
    this.rules = rules
    this.#answers = answers
    this.prefix = prefix
  }

  async lifecycle() {
    return this.#answers.lifecycle?.() ?? { answer: this.rules }
  }

  async setRules(rules: readonly LifecycleRule[]) {
    await this.#answers.setRules?.(rules)
    this.writes++
    const ids = new Set(rules.map(({ id }) => id))
    this.rules = [...this.rules.filter(({ id }) => !ids.has(id)), ...rules]
  }

  async encryption() {
    return this.#answers.encryption?.() ?? { answer: { algorithm: 'AES256', kmsKeyId: null } }
  }

  async publicAccessBlock() {
    const all = {
      blockPublicAcls: true,
      ignorePublicAcls: true,
      blockPublicPolicy: true,
      restrictPublicBuckets: true,
    }
    return this.#answers.publicAccessBlock?.() ?? { answer: all }
  }

  async policy() {
    return this.#answers.policy?.() ?? { answer: 'none' as const }
  }

  async publicGrants() {
    return this.#answers.publicGrants?.() ?? { answer: [] }
  }

  async versioning() {
    return this.#answers.versioning?.() ?? { answer: 'off' as const }
  }

  close() {}
}

/** A rule of others. */
export function otherRule(rule: Partial<LifecycleRule>): LifecycleRule {
  const none = { expireDays: null, noncurrentDays: null, abortDays: null }
  return { id: 'theirs', enabled: true, prefix: '', more: false, ...none, ...rule }
}
