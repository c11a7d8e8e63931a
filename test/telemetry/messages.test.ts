import t from 'tap'
import { groupCrashes, NO_GROUPS } from '../../src/telemetry/crash-groups.ts'
import { cloudEventBody, slackBody } from '../../src/telemetry/messages.ts'
import { crashEvent } from './events.ts'

const ID = '20231114T221320Z-04ac62b2a536'
const NODE = 'node-17'
const stamp = { id: 'm-1', time: '2026-11-24T12:05:00.000Z' }
const at = (pod: string) => ({ place: { namespace: 'shop', pod, container: 'app' } })

t.test('crashes of the same kind are one group, and the best of them is what to look at', async t => {
  const signature = 'SIGSEGV cart[ab]+0x1'
  const { groups, others } = groupCrashes(NO_GROUPS, [
    crashEvent('1', { signature, fate: 'record', ...at('cart-0') }),
    crashEvent('2', { signature, fate: 'full', ...at('cart-1'), time: '2026-11-24T12:01:00.000Z' }),
    crashEvent('3', { signature, fate: 'mini', ...at('cart-0'), time: '2026-11-24T12:02:00.000Z' }),
    crashEvent('4', { signature, fate: 'off' }),
  ])
  t.same(groups, [
    {
      ...{ signature, signal: 'SIGSEGV', comm: 'cart', count: 3 },
      ...{ first: '2026-11-24T12:00:00.000Z', last: '2026-11-24T12:02:00.000Z' },
      outcomes: { record: 1, full: 1, mini: 1 },
      pods: ['shop/cart-0', 'shop/cart-1'],
      best: { id: '2', outcome: 'full' },
    },
  ])
  t.equal(others, 0)
})

t.test('what Slack would take for its own is escaped', async t => {
  const event = crashEvent(ID, { comm: '<!channel>&`x`', signature: 'SIGSEGV <a>`&' })
  const { text } = JSON.parse(slackBody({ ...groupCrashes(NO_GROUPS, [event]), ...stamp }, NODE).text) as {
    text: string
  }
  t.equal(
    text,
    [
      '*corelift*: 1 crash on node-17',
      "• 1 × &lt;!channel&gt;&amp;'x' in shop/cart-0 (1 full), 2026-11-24T12:00:00.000Z",
      "   `SIGSEGV &lt;a&gt;'&amp;`",
      `   \`corelift debug ${ID}\``,
    ].join('\n'),
  )
})

t.test('an event has what CloudEvents demands', async t => {
  const { contentType, text } = cloudEventBody(
    { ...groupCrashes(NO_GROUPS, [crashEvent(ID)]), ...stamp },
    NODE,
  )
  t.equal(contentType, 'application/cloudevents+json; charset=utf-8')
  t.match(JSON.parse(text), {
    ...{ specversion: '1.0', id: 'm-1', source: '/corelift/nodes/node-17', type: 'io.corelift.crashes.v1' },
    ...{ time: stamp.time, datacontenttype: 'application/json' },
    data: { node: NODE, others: 0, groups: [{ count: 1, advice: `corelift debug ${ID}` }] },
  })
})

t.test('a message is bounded, however many kinds of crashes there are', async t => {
  const long = 'é'.repeat(500)
  const events = Array.from({ length: 5000 }, (_, n) =>
    crashEvent(ID, {
      ...{ signature: `${n} ${long}`, comm: long.slice(0, 60) },
      place: { namespace: long.slice(0, 63), pod: `${n}${long.slice(0, 253)}`, container: 'c' },
    }),
  )
  const message = { ...groupCrashes(NO_GROUPS, events), ...stamp }
  t.equal(message.others, 4980)
  t.ok(Buffer.byteLength(cloudEventBody(message, NODE).text) < 65_536)
  const slack = slackBody(message, NODE).text
  t.ok(slack.length < 40_000)
  t.match(slack, /5000 crashes on .*… and 4990 of other kinds/)
})
