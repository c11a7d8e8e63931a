// Messages about crashes, from their gathering to the receiver's answer. A message that was begun is sent again as it is,
// with its id, until it is taken: whoever has it already can tell. Pure.
import type { CrashEvent } from './crash-event.ts'
import { type CrashGroups, groupCrashes, NO_GROUPS } from './crash-groups.ts'

export interface Message extends CrashGroups {
  readonly id: string
  /** ISO 8601. */
  readonly time: string
}

export interface Mailbox {
  /** What the next message will tell. */
  readonly gathering: CrashGroups
  /** Not taken yet. */
  readonly outgoing?: Message
  /** ISO 8601: of the last message that was taken. */
  readonly lastSent?: string
  /** After failures: not to be tried before. */
  readonly backoff?: { readonly until: string; readonly times: number; readonly why: string }
}

export const NO_MAIL: Mailbox = { gathering: NO_GROUPS }

export const gather = (mailbox: Mailbox, events: readonly CrashEvent[]): Mailbox => ({
  ...mailbox,
  gathering: groupCrashes(mailbox.gathering, events),
})

/**
 * Puts a message together where one is due.
 * @param id - For a new message.
 * @returns With `outgoing` where something is to be sent now.
 */
export function prepare(
  mailbox: Mailbox,
  { now, intervalSeconds, id }: { readonly now: Date; readonly intervalSeconds: number; readonly id: string },
): { readonly mailbox: Mailbox; readonly due: Message | undefined } {
  const { gathering, outgoing, lastSent, backoff } = mailbox
  if (backoff && new Date(backoff.until) > now) return { mailbox, due: undefined }
  if (outgoing) return { mailbox, due: outgoing }
  const isTooSoon = lastSent !== undefined && now.getTime() - Date.parse(lastSent) < intervalSeconds * 1000
  if (gathering.groups.length === 0 || isTooSoon) return { mailbox, due: undefined }
  const message = { ...gathering, id, time: now.toISOString() }
  return { mailbox: { ...mailbox, gathering: NO_GROUPS, outgoing: message }, due: message }
}

/** The receiver has it. */
export const taken = ({ gathering }: Mailbox, now: Date): Mailbox => ({
  gathering,
  lastSent: now.toISOString(),
})
