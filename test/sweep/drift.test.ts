import t from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { findDrift, type PatternAccess } from '../../src/sweep/drift.ts'

const OURS = '|/usr/local/bin/corelift handle %P'
const now = new Date('2026-11-24T12:00:00Z')
const later = new Date('2026-11-24T12:01:00Z')

function kernel(pattern: string): PatternAccess & { pattern: string } {
  return {
    pattern,
    installed: () => OURS,
    current() {
      return this.pattern
    },
    set(value) {
      this.pattern = value
    },
  }
}

t.test('a pattern that is ours is no news', async t => {
  t.equal(findDrift(kernel(OURS), undefined, true, now), undefined)
})

t.test('without an installation nothing is expected', async t => {
  t.equal(findDrift({ ...kernel('core'), installed: () => undefined }, undefined, true, now), undefined)
})

t.test('a change is told with when it was first seen, and left', async t => {
  const node = kernel('|/usr/share/apport/apport %p')
  const drift = findDrift(node, undefined, false, now)
  t.same(drift, { pattern: '|/usr/share/apport/apport %p', since: now.toISOString(), isSetBack: false })
  t.same(findDrift(node, drift, false, later), drift)
  node.pattern = 'core'
  t.match(findDrift(node, drift, false, later), { pattern: 'core', since: later.toISOString() })
})

t.test('where it is enforced it is set back, each time anew', async t => {
  const node = kernel('core')
  const drift = findDrift(node, undefined, true, now)
  t.match(drift, { pattern: 'core', isSetBack: true })
  t.equal(node.pattern, OURS)
  t.equal(findDrift(node, drift, true, later), undefined)
  node.pattern = 'core'
  t.match(findDrift(node, drift, true, later), { since: later.toISOString(), isSetBack: true })
})

t.test('a kernel that does not let it says so', async t => {
  const node = {
    ...kernel('core'),
    set() {
      throw new CoreliftError('E_INSTALL', 'kernel.core_pattern cannot be set: EROFS')
    },
  }
  t.match(findDrift(node, undefined, true, now), { isSetBack: false, problem: /EROFS/ })
})
