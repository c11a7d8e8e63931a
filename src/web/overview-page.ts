// The page `/`: crashes by time, by workload and by signature, and the list, a hundred to a page.
import { findCrashes, isFinished, type FoundCrash } from '../commands/find.ts'
import { isWithin } from '../commands/ls.ts'
import { CoreliftError } from '../errors.ts'
import { signalName } from '../signals.ts'
import { INDEX_OUTCOMES, idTime, type IndexedCrash } from '../store/keys.ts'
import type { Store } from '../store/store.ts'
import { NO_CONTAINER } from '../workload/place.ts'
import { barsOf, chartView } from './chart.ts'
import type { Gate } from './gate.ts'
import { exact, html, part, type Html } from './html.ts'
import { errorPage, errorSection, pageReply } from './layout.ts'
import { numbersTable } from './numbers-table.ts'
import { outcomeView } from './outcome-view.ts'
import { crashHref, fieldsOf, overviewHref, parseQuery, SINCE_DEFAULT } from './query.ts'
import type { FieldName, Fields, OverviewQuery } from './query.ts'
import { statusOf, type Reply } from './reply.ts'
import { NEWEST_CRASHES, PAGE_CRASHES, scanIndex, type Scan } from './scan.ts'
import { countSignatures, type SignatureCache, type SignatureCount } from './signatures.ts'

const TOP_ROWS = 10

export interface OverviewDeps {
  readonly store: Store
  readonly now: () => Date
  readonly signatures: SignatureCache
  /** For passes over the index. */
  readonly scans: Gate
  /** Collects garbage, at once. */
  readonly collect: () => void
}

/** Sends nothing before the store has answered: where it does not, the page has another status. */
export async function overviewPage(deps: OverviewDeps, params: URLSearchParams): Promise<Reply> {
  const { store } = deps
  const now = deps.now()
  const frame = { title: 'Crashes', storeUrl: store.url }
  try {
    const query = parseQuery(params, now)
    let onAnswer = (): void => undefined
    const answered = new Promise<void>(resolve => (onAnswer = resolve))
    const scan = deps.scans.run(() => scanIndex(store, query, now, onAnswer).finally(deps.collect))
    // Told by the page, once that is being sent.
    scan.catch(() => undefined)
    await Promise.race([scan, answered])
    return pageReply(frame, overviewParts(deps, query, scan))
  } catch (error) {
    if (!(error instanceof CoreliftError)) throw error
    if (error.code !== 'E_USAGE') return errorPage(error, store.url)
    const parts = [html`<h1>Crashes</h1>`, errorSection(error, 'Not understood'), formView(fieldsOf(params))]
    return pageReply({ ...frame, status: statusOf(error) }, parts)
  }
}

async function* overviewParts(
  { store, signatures }: OverviewDeps,
  query: OverviewQuery,
  scanning: Promise<Scan>,
): AsyncGenerator<Html> {
  const { fields } = query
  const scan = await scanning
  yield html`<h1>
    ${scan.total.toLocaleString('en')} ${scan.total === 1 ? 'crash' : 'crashes'} ${rangeText(fields)}
  </h1>`
  yield formView(fields)
  yield* unfinishedParts(store, query)
  if (scan.total === 0) {
    yield html`<section>
      <p>No crash matches.</p>
      <p class="dim">
        Without filters, and with an earlier beginning, there may be some:
        <a href="${overviewHref({ since: '30d' })}">the last 30 days</a>.
      </p>
    </section>`
    return
  }
  yield html`<section>${chartView(barsOf(scan.hours, query.since, query.until))}</section>`
  yield part`<div class="pair"><section>${workloadsView(scan, fields)}</section>`
  try {
    const counts = await countSignatures(store, scan.newest, signatures)
    yield part`<section>${signaturesView(counts, scan)}</section></div>`
  } catch (error) {
    if (!(error instanceof CoreliftError)) throw error
    yield part`${errorSection(error, 'Signatures are missing')}</div>`
  }
  yield html`<section>${listView(scan, fields)}</section>`
}

const UNITS: Readonly<Record<string, string>> = {
  s: 'seconds',
  m: 'minutes',
  h: 'hours',
  d: 'days',
  w: 'weeks',
}

function rangeText({ since = SINCE_DEFAULT, until }: Fields): string {
  const [, amount, unit = ''] = /^(\d+)([smhdw])(?: ago)?$/.exec(since) ?? []
  if (until !== undefined) return `from ${since} to ${until}`
  return amount === undefined ? `since ${since}` : `in the last ${amount} ${UNITS[unit]}`
}

const LABELS: Readonly<Record<FieldName, [label: string, placeholder: string]>> = {
  namespace: ['Namespace', ''],
  workload: ['Workload', ''],
  pod: ['Pod', ''],
  container: ['Container', ''],
  comm: ['Process (comm)', ''],
  signal: ['Signal', ''],
  outcome: ['Outcome', ''],
  since: ['From', SINCE_DEFAULT],
  until: ['To', 'now'],
}

function formView(fields: Fields): Html {
  const inputs = (Object.keys(LABELS) as FieldName[]).map(name => {
    const [label, placeholder] = LABELS[name]
    const control =
      name === 'outcome'
        ? outcomeSelect(fields.outcome)
        : html`<input
            id="f-${name}"
            name="${name}"
            value="${exact(fields[name] ?? '')}"
            placeholder="${placeholder}"
            maxlength="300"
            autocomplete="off"
            spellcheck="false"
            ${name === 'since' || name === 'until' ? html` aria-describedby="f-times"` : ''}
          />`
    return html`<div><label for="f-${name}">${label}</label>${control}</div>`
  })
  return html`<section>
    <h2>Filter</h2>
    <form class="filters" action="/" method="get">
      ${inputs}
      <div class="actions"><button>Show</button> <a href="/">Reset</a></div>
    </form>
    <p class="dim" id="f-times">
      Times, in UTC: 2026-11-23, 2026-11-23 20:40, 2h (ago), 7d, today, yesterday. Names are matched whole.
    </p>
  </section>`
}

function outcomeSelect(selected: string | undefined): Html {
  const options = INDEX_OUTCOMES.map(
    outcome =>
      html`<option value="${outcome}" ${outcome === selected && html` selected`}>${outcome}</option>`,
  )
  return html`<select id="f-outcome" name="outcome">
    <option value="">any</option>
    ${options}
  </select>`
}

/** Crashes without a manifest are in no index: of a pod they can be found. */
async function* unfinishedParts(store: Store, query: OverviewQuery): AsyncGenerator<Html> {
  const { pod, namespace } = query.fields
  if (pod === undefined) return
  const { crashes, hint } = await crashesOfPod(store, pod, namespace)
  const unfinished = crashes.filter(crash => !isFinished(crash) && isWithin(query, crash.id))
  if (hint !== undefined) yield html`<section><p>No crash of this pod: ${hint}</p></section>`
  if (unfinished.length === 0) return
  const items = unfinished.map(
    crash =>
      html`<li>
        <a href="${crashHref({ prefix: crash.prefix })}">${timeText(crash.id)}</a>, ${crash.namespace}
      </li>`,
  )
  yield html`<section>
    <h2>Unfinished</h2>
    <p>Still being uploaded, or their handler died; they are not counted.</p>
    <ul>
      ${items}
    </ul>
  </section>`
}

async function crashesOfPod(
  store: Store,
  pod: string,
  namespace: string | undefined,
): Promise<{ crashes: readonly FoundCrash[]; hint?: string | undefined }> {
  // A text that is an id's would be looked up as one.
  if (idTime(pod) !== undefined) return { crashes: [] }
  try {
    return { crashes: await findCrashes(store, pod, namespace) }
  } catch (error) {
    if (!(error instanceof CoreliftError) || error.code !== 'E_CRASH_UNKNOWN') throw error
    return { crashes: [], hint: error.hint }
  }
}

function workloadsView({ workloads }: Scan, fields: Fields): Html {
  const counts = [...workloads.values()].toSorted((left, right) => right.count - left.count)
  const rows = counts.slice(0, TOP_ROWS).map(
    ({ namespace, workload, count }) =>
      html`<tr>
        <th scope="row">
          <a href="${overviewHref({ ...fields, namespace, workload })}">${namespace}/${workload}</a>
        </th>
        <td class="number">${count.toLocaleString('en')}</td>
      </tr>`,
  )
  const more = counts.length - TOP_ROWS
  return html`<h2>By workload</h2>
    ${numbersTable('Workload', 'Crashes', rows)}
    ${more > 0 && html`<p class="dim">${more.toLocaleString('en')} more</p>`}`
}

function signaturesView(counts: readonly SignatureCount[], { newest, total }: Scan): Html {
  const rows = counts.slice(0, TOP_ROWS).map(
    ({ signature, count, newest }) =>
      html`<tr>
        <th scope="row" class="mono">
          ${signature}<br /><a
            href="${crashHref(newest)}"
            aria-label="The newest crash of this signature, ${timeText(newest.id)}"
            >${timeText(newest.id)}</a
          >
        </th>
        <td class="number">${count}</td>
      </tr>`,
  )
  const of = total > NEWEST_CRASHES ? html`<p class="dim">Of the newest ${newest.length}.</p>` : ''
  if (rows.length === 0)
    return html`<h2>By signature</h2>
      <p>None of these crashes has a signature.</p>
      ${of}`
  return html`<h2>By signature</h2>
    ${numbersTable('Signature, and the newest crash that has it', 'Crashes', rows)} ${of}`
}

function timeText(id: string): string {
  return idTime(id)?.toISOString().slice(0, 19).replace('T', ' ') ?? ''
}

const COLUMNS = ['Time', 'Namespace', 'Pod', 'Container', 'Signal', 'Process', 'Outcome'] as const

function listView(scan: Scan, fields: Fields): Html {
  const first = scan.newer + 1
  const last = scan.newer + scan.page.length
  const heading = COLUMNS.map(name => html`<th scope="col" role="columnheader">${name}</th>`)
  // Roles, because the style for narrow windows takes the table's display away, and with it its meaning.
  return html`<h2 id="list">
      Newest first: ${first.toLocaleString('en')}–${last.toLocaleString('en')} of
      ${scan.total.toLocaleString('en')}
    </h2>
    <table class="cards" role="table" aria-labelledby="list">
      <thead role="rowgroup">
        <tr role="row">
          ${heading}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${scan.page.map(crashRow)}
      </tbody>
    </table>
    ${pagesView(scan, fields, last)}`
}

function crashRow(crash: IndexedCrash): Html {
  const container = crash.container === NO_CONTAINER ? '–' : crash.container
  const cells = [crash.namespace, crash.pod, container, signalName(crash.signal), crash.comm || '–'].map(
    (value, index) =>
      html`<td role="cell" data-label="${COLUMNS[index + 1]}" ${index === 3 && html` class="short"`}>
        <bdi>${value}</bdi>
      </td>`,
  )
  return html`<tr role="row">
    <th scope="row" role="rowheader" class="time"><a href="${crashHref(crash)}">${timeText(crash.id)}</a></th>
    ${cells}
    <td role="cell" data-label="Outcome" class="short">${outcomeView(crash.outcome)}</td>
  </tr> `
}

function pagesView(scan: Scan, fields: Fields, last: number): Html | false {
  const { page, newer, newerIds, total } = scan
  const oldest = page.at(-1)?.id
  const older =
    last < total && oldest !== undefined && html`<a href="${overviewHref(fields, oldest)}">Older</a>`
  const cursor = newerIds.length > PAGE_CRASHES ? newerIds[PAGE_CRASHES] : undefined
  const links = [
    newer > 0 && html`<a href="${overviewHref(fields)}">Newest</a>`,
    newer > 0 && html`<a href="${overviewHref(fields, cursor)}">Newer</a>`,
    older,
  ].filter(link => link !== false)
  return links.length > 0 && html`<nav class="pages" aria-label="Pages of the list">${links}</nav>`
}
