// Messages to receivers on loopback that take them, refuse them, or never answer.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type Mail, notify } from '../../src/sweep/notify.ts'
import { gather, NO_MAIL } from '../../src/telemetry/mailbox.ts'
import { NO_TALLIES } from '../../src/telemetry/tallies.ts'
import type { CrashEvent } from '../../src/telemetry/crash-event.ts'
import { crashEvent } from '../telemetry/events.ts'

type Answer = (response: ServerResponse) => void
const ok: Answer = response => response.end('ok')
const status = (code: number, headers: Record<string, string> = {}): Answer => {
  return response => response.writeHead(code, headers).end()
}

interface Received {
  readonly type: string | undefined
  readonly body: {
    readonly id?: string
    readonly text?: string
    readonly data?: { groups: { count: number }[] }
  }
}

async function receiver(t: Test) {
  const received: Received[] = []
  const state = { answer: ok }
  const server = createServer((request: IncomingMessage, response) => {
    let text = ''
    request.on('data', chunk => (text += String(chunk)))
    request.on('end', () => {
      received.push({ type: request.headers['content-type'], body: JSON.parse(text) as Received['body'] })
      state.answer(response)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/secret-path`
  return { received, url, answerWith: (answer: Answer) => (state.answer = answer) }
}

/** A node that sweeps at times of the test's choosing. */
function sweeping(url: string, format: 'slack' | 'cloudevents' = 'cloudevents') {
  let mail: Mail = { mailbox: NO_MAIL, tallies: NO_TALLIES }
  const saved: Mail[] = []
  let ids = 0
  return {
    saved,
    mail: () => mail,
    crash: (event: CrashEvent) => (mail = { ...mail, mailbox: gather(mail.mailbox, [event]) }),
    /** As a sweep that was killed left it. */
    restore: (at: number) => (mail = saved[at]!),
    async sweep(second: number): Promise<string | undefined> {
      const config = { webhookUrl: url, webhookUrlFile: undefined, format, intervalSeconds: 300 }
      const sending = { config, node: 'node-17', id: `m-${++ids}`, save: (now: Mail) => void saved.push(now) }
      const now = () => new Date(Date.UTC(2026, 10, 24) + second * 1000)
      const done = await notify(mail, sending, { version: '0', now, random: () => 1, answerMsMax: 200 })
      mail = done.mail
      return done.problem
    },
  }
}

t.test('a message is sent once, and the next one when the interval is over', async t => {
  const { received, url } = await receiver(t)
  const node = sweeping(url)
  t.equal(await node.sweep(0), undefined)
  t.equal(received.length, 0, 'without a crash there is none')
  node.crash(crashEvent('a'))
  await node.sweep(60)
  node.crash(crashEvent('b'))
  node.crash(crashEvent('c'))
  await node.sweep(120)
  await node.sweep(359)
  t.equal(received.length, 1)
  await node.sweep(361)
  await node.sweep(900)
  t.match(received, [
    { body: { data: { groups: [{ count: 1 }] } } },
    { body: { data: { groups: [{ count: 2 }] } } },
  ])
  t.equal(received.length, 2)
  t.equal(received[0]!.type, 'application/cloudevents+json; charset=utf-8')
  t.match(node.mail().tallies.notifications, { sent: 2, failed: 0 })
})

t.test(
  'what was not taken is sent again as it was, later and later; what crashes meanwhile waits',
  async t => {
    const { received, url, answerWith } = await receiver(t)
    const node = sweeping(url)
    answerWith(status(500))
    node.crash(crashEvent('a'))
    t.equal(await node.sweep(0), 'no message was sent: the webhook answered 500')
    node.crash(crashEvent('b'))
    await node.sweep(59)
    t.equal(received.length, 1, 'a minute later at the earliest')
    await node.sweep(61)
    await node.sweep(122)
    t.equal(received.length, 2, 'then two minutes')
    answerWith(ok)
    await node.sweep(300)
    t.same(received[2], received[0])
    await node.sweep(601)
    t.match(received[3]?.body, { data: { groups: [{ count: 1 }] } })
    t.not(received[3]?.body.id, received[0]?.body.id)
    t.match(node.mail().tallies.notifications, { sent: 2, failed: 2 })
  },
)

t.test('a receiver that asks for patience gets it', async t => {
  const { received, url, answerWith } = await receiver(t)
  const node = sweeping(url)
  answerWith(status(429, { 'retry-after': '600' }))
  node.crash(crashEvent('a'))
  await node.sweep(0)
  await node.sweep(599)
  t.equal(received.length, 1)
  await node.sweep(601)
  t.equal(received.length, 2)
})

t.test(
  'a receiver that hangs, sends elsewhere or is not there costs a line that does not tell the URL',
  async t => {
    const { received, url, answerWith } = await receiver(t)
    answerWith(() => undefined)
    const hanging = sweeping(url)
    hanging.crash(crashEvent('a'))
    t.equal(await hanging.sweep(0), 'no message was sent: the webhook did not answer in time')
    answerWith(status(302, { location: `${url}/elsewhere` }))
    const redirected = sweeping(url)
    redirected.crash(crashEvent('a'))
    t.notMatch(await redirected.sweep(0), /secret-path|^undefined/)
    t.equal(received.length, 2, 'it is not followed')
    const absent = sweeping('http://127.0.0.1:1/secret-path')
    absent.crash(crashEvent('a'))
    const problem = await absent.sweep(0)
    t.match(problem, /could not be reached/)
    t.notMatch(problem, 'secret-path')
  },
)

t.test('a sweep that is killed while it sends sends the same message again', async t => {
  const { received, url } = await receiver(t)
  const node = sweeping(url)
  node.crash(crashEvent('a'))
  await node.sweep(0)
  node.restore(0)
  await node.sweep(60)
  t.equal(received.length, 2)
  t.same(received[1], received[0], 'with its id')
})

t.test('the text for Slack is JSON', async t => {
  const { received, url } = await receiver(t)
  const node = sweeping(url, 'slack')
  node.crash(crashEvent('a'))
  await node.sweep(0)
  t.match(received, [{ type: 'application/json', body: { text: /1 crash on node-17/ } }])
})
