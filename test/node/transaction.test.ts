import t from 'tap'
import { CoreliftError } from '../../src/errors.ts'
import { carryOut, type Change, type Step } from '../../src/node/transaction.ts'

/** Changes of a world of words, each with its name. */
function world(...failing: readonly string[]) {
  const there = new Set<string>()
  const steps: string[] = []
  const change = (title: string): Change => ({
    title,
    isDone: () => there.has(title),
    apply() {
      there.add(title)
      if (failing.includes(title)) throw new Error(`no ${title}`)
    },
    undo() {
      if (failing.includes(`undo ${title}`)) throw new Error(`no undo of ${title}`)
      there.delete(title)
    },
  })
  const options = {
    dryRun: false,
    onStep: async ({ title, state }: Step) => void steps.push(`${state} ${title}`),
    interrupted: new AbortController().signal,
    afterFailure: 'as before',
  }
  return { there, steps, change, options }
}

t.test('changes are made in order, and those that are there already are left alone', async t => {
  const { there, steps, change, options } = world()
  there.add('b')
  await carryOut(['a', 'b', 'c'].map(change), options)
  t.same(steps, ['done a', 'same b', 'done c'])
  t.same([...there], ['b', 'a', 'c'])
})

t.test('a failure undoes what this run did, itself included, the last first', async t => {
  const { there, steps, change, options } = world('c')
  there.add('b')
  await t.rejects(carryOut(['a', 'b', 'c', 'd'].map(change), options), {
    code: 'E_INSTALL',
    message: 'c: no c',
    hint: 'as before',
  })
  t.same(steps, ['done a', 'same b', 'failed c', 'undone c', 'undone a'])
  t.same([...there], ['b'], 'what was there before is there')
})

t.test('what cannot be undone is named, and the rest is undone', async t => {
  const { there, change, options } = world('c', 'undo b')
  await t.rejects(carryOut(['a', 'b', 'c'].map(change), options), {
    message: 'c: no c',
    hint: /^not undone: b; /,
  })
  t.same([...there], ['b'])
})

t.test('an error with advice stays what it is', async t => {
  const { options } = world()
  const apply = () => {
    throw new CoreliftError('E_CANARY', 'it did not arrive', { hint: 'look' })
  }
  await t.rejects(carryOut([{ title: 'canary', apply }], options), {
    code: 'E_CANARY',
    message: 'it did not arrive',
    hint: 'look (as before)',
  })
})

t.test('what only undoes is undone in its place', async t => {
  const { steps, change, options } = world('b')
  const changes = [change('a'), { title: 'reload', undo: () => undefined }, change('b')]
  await t.rejects(carryOut(changes, options))
  t.same(steps, ['done a', 'failed b', 'undone b', 'undone reload', 'undone a'])
})

t.test('a dry run changes nothing', async t => {
  const { there, steps, change, options } = world()
  there.add('a')
  await carryOut(['a', 'b'].map(change), { ...options, dryRun: true })
  t.same(steps, ['same a', 'planned b'])
  t.same([...there], ['a'])
})

t.test('an interruption undoes everything', async t => {
  const { there, change, options } = world()
  const controller = new AbortController()
  const interrupting = { title: 'interrupt', apply: () => controller.abort() }
  await t.rejects(
    carryOut([change('a'), interrupting, change('b')], { ...options, interrupted: controller.signal }),
    { name: 'AbortError' },
  )
  t.equal(there.size, 0)
})
