// Sends what the mailbox has due to the webhook. A receiver that hangs costs a sweep ten seconds, and then is left alone.
import { readFileSync } from 'node:fs'
import type { Config } from '../config/table.ts'
import { type Mailbox, type Message, prepare, taken } from '../telemetry/mailbox.ts'
import { cloudEventBody, slackBody } from '../telemetry/messages.ts'
import type { Tallies } from '../telemetry/tallies.ts'
import { backoffAfter } from './sweep-state.ts'

export interface NotifyDeps {
  readonly version: string
  readonly now: () => Date
  /** As Math.random. */
  readonly random: () => number
  /** Longest wait for an answer. */
  readonly answerMsMax: number
}

/** What of the telemetry state sending changes. */
export interface Mail {
  readonly mailbox: Mailbox
  readonly tallies: Tallies
}

export interface Sending {
  readonly config: Config['notify']
  readonly node: string
  /** For a new message. */
  readonly id: string
  /** Keeps the state: before a message is sent, so that after a kill it is sent as the same one. */
  readonly save: (mail: Mail) => void
}

/**
 * Sends a message where one is due.
 * @returns The state after it, which is saved, and why it was not sent: without the URL, which is a secret.
 */
export async function notify(
  mail: Mail,
  { config, node, id, save }: Sending,
  deps: NotifyDeps,
): Promise<{ readonly mail: Mail; readonly problem?: string }> {
  const { mailbox, due } = prepare(mail.mailbox, {
    now: deps.now(),
    intervalSeconds: config.intervalSeconds,
    id,
  })
  if (due === undefined) return { mail }
  save({ ...mail, mailbox })
  const answer = await send(due, config, node, deps)
  const after = answer.isTaken
    ? { mailbox: taken(mailbox, deps.now()), tallies: counted(mail.tallies, 'sent') }
    : { mailbox: putOff(mailbox, answer, deps), tallies: counted(mail.tallies, 'failed') }
  save(after)
  return answer.isTaken ? { mail: after } : { mail: after, problem: `no message was sent: ${answer.why}` }
}

/** Whether messages are to be sent at all: without that nothing is gathered for them. */
export const isNotifying = (config: Config['notify']): boolean =>
  config.webhookUrl !== undefined || config.webhookUrlFile !== undefined

type Answer =
  | { readonly isTaken: true }
  | { readonly isTaken: false; readonly why: string; readonly retryAfterSeconds?: number }

async function send(
  message: Message,
  config: Config['notify'],
  node: string,
  { version, answerMsMax }: NotifyDeps,
): Promise<Answer> {
  const { contentType, text } = (config.format === 'slack' ? slackBody : cloudEventBody)(message, node)
  try {
    const response = await fetch(urlIn(config), {
      method: 'POST',
      headers: { 'content-type': contentType, 'user-agent': `corelift/${version}` },
      body: text,
      redirect: 'error',
      signal: AbortSignal.timeout(answerMsMax),
    })
    await response.body?.cancel()
    if (response.ok) return { isTaken: true }
    const seconds = Number(response.headers.get('retry-after') ?? 0)
    const retryAfterSeconds = Number.isFinite(seconds) ? seconds : 0
    return { isTaken: false, why: `the webhook answered ${response.status}`, retryAfterSeconds }
  } catch (error) {
    return { isTaken: false, why: reasonOf(error) }
  }
}

function urlIn({ webhookUrl, webhookUrlFile }: Config['notify']): string {
  return (
    webhookUrl ??
    readFileSync(webhookUrlFile ?? '', 'utf8')
      .split('\n', 1)[0]!
      .trim()
  )
}

/** The code of what failed, which names no URL: runtimes' messages may. */
function reasonOf(error: unknown): string {
  const { name, code, cause } = error as NodeJS.ErrnoException & { cause?: NodeJS.ErrnoException }
  if (name === 'TimeoutError') return 'the webhook did not answer in time'
  return `the webhook could not be reached: ${cause?.code ?? code ?? name}`
}

/** A receiver may ask for more patience than ours, but not for ever. */
const RETRY_AFTER_SECONDS_MAX = 3600

function putOff(
  mailbox: Mailbox,
  { why, retryAfterSeconds = 0 }: Answer & { isTaken: false },
  { now, random }: NotifyDeps,
): Mailbox {
  const backoff = backoffAfter(mailbox.backoff, why, now(), random)
  const asked = now().getTime() + Math.min(retryAfterSeconds, RETRY_AFTER_SECONDS_MAX) * 1000
  const until = new Date(Math.max(Date.parse(backoff.until), asked)).toISOString()
  return { ...mailbox, backoff: { ...backoff, until } }
}

const counted = (tallies: Tallies, result: keyof Tallies['notifications']): Tallies => ({
  ...tallies,
  notifications: { ...tallies.notifications, [result]: tallies.notifications[result] + 1 },
})
