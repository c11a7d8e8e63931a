// Messages about crashes as receivers want them. Pure. Sizes are bounded by what groups hold.
import { adviceFor, type CrashGroup } from './crash-groups.ts'
import type { Message } from './mailbox.ts'

export interface Body {
  readonly contentType: string
  readonly text: string
}

/** Slack cuts messages over 40,000 characters; nobody reads so many lines. */
const SLACK_GROUPS_MAX = 10

/** A text for Slack's incoming webhooks, and for those that take the same (Mattermost, Rocket.Chat, Google Chat). */
export function slackBody({ groups, others }: Message, node: string): Body {
  const total = groups.reduce((sum, { count }) => sum + count, others)
  const shown = groups.slice(0, SLACK_GROUPS_MAX)
  const rest = total - shown.reduce((sum, { count }) => sum + count, 0)
  const lines = [
    `*corelift*: ${total === 1 ? '1 crash' : `${total} crashes`} on ${slackText(node)}`,
    ...shown.flatMap(slackLines),
    ...(rest > 0 ? [`… and ${rest} of other kinds`] : []),
  ]
  return { contentType: 'application/json', text: JSON.stringify({ text: lines.join('\n') }) }
}

function slackLines(group: CrashGroup): string[] {
  const { count, signature, comm, pods, outcomes, first, last } = group
  const kept = Object.entries(outcomes).map(([outcome, times]) => `${times} ${outcome}`)
  const when = first === last ? first : `${first} to ${last}`
  const advice = adviceFor(group)
  return [
    `• ${count} × ${slackText(comm)} in ${slackText(pods.join(', '))} (${kept.join(', ')}), ${when}`,
    `   \`${slackText(signature)}\``,
    ...(advice === undefined ? [] : [`   \`${advice}\``]),
  ]
}

/** docs.slack.dev: `&`, `<` and `>` begin what Slack interprets, such as `<!channel>`; a backtick would end the code. */
const slackText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('`', "'")

/** One event for one message, structured: CloudEvents 1.0, JSON format. Its id stays the same when it is sent again. */
export function cloudEventBody({ id, time, groups, others }: Message, node: string): Body {
  const event = {
    specversion: '1.0',
    id,
    source: `/corelift/nodes/${encodeURIComponent(node)}`,
    type: 'io.corelift.crashes.v1',
    time,
    datacontenttype: 'application/json',
    data: {
      node,
      groups: groups.map(group => {
        const advice = adviceFor(group)
        return { ...group, ...(advice !== undefined && { advice }) }
      }),
      others,
    },
  }
  return { contentType: 'application/cloudevents+json; charset=utf-8', text: JSON.stringify(event) }
}
