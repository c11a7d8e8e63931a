// The page of one crash: what happened, how to debug it, its stacks, who it was, its files, and the log's end.
import type { Demangle } from '../commands/demangle.ts'
import type { Field } from '../commands/render-fields.ts'
import { crashFields, outcomeFields, processFields, renderOutcome } from '../commands/render-info.ts'
import { sourceFields, workloadFields } from '../commands/render-workload.ts'
import { renderBytes } from '../commands/render.ts'
import { CoreliftError } from '../errors.ts'
import { KIT_OBJECT } from '../store/keys.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { NO_CONTAINER, placeOf } from '../workload/place.ts'
import { downloadsOf, type Download, type DownloadDeps } from './downloads.ts'
import { filesView } from './files-view.ts'
import type { CrashRecord } from './found.ts'
import type { Gate } from './gate.ts'
import { html, part, type Html } from './html.ts'
import { pageReply } from './layout.ts'
import { readLogTail } from './log-tail.ts'
import { numbersTable } from './numbers-table.ts'
import { outcomeView } from './outcome-view.ts'
import { crashHref, overviewHref } from './query.ts'
import type { Reply } from './reply.ts'
import { stackViews } from './stacks-view.ts'

export interface CrashPageDeps extends DownloadDeps {
  readonly demangle: () => Demangle
  /** For kits that are read for a page. */
  readonly logs: Gate
}

/** @param host - Where this server is, for debuggers: checked, nothing in it that a shell takes for its own. */
export function crashPage(deps: CrashPageDeps, record: CrashRecord, host: string): Reply {
  const { crash, manifest } = record
  const title = manifest === undefined ? `Unfinished crash ${crash.id}` : headline(manifest)
  const parts =
    manifest === undefined ? unfinishedParts(deps, record) : finishedParts(deps, record, manifest, host)
  return pageReply({ title, storeUrl: deps.store.url }, parts)
}

function headline({ crash, process }: Manifest): string {
  return process?.comm ? `${crash.signalName} in ${process.comm}` : crash.signalName
}

async function* finishedParts(
  deps: CrashPageDeps,
  record: CrashRecord,
  manifest: Manifest,
  host: string,
): AsyncGenerator<Html> {
  const { workload, process, signature, stacks, warnings } = manifest
  const place = placeOf(workload, manifest.node)
  const fields = { namespace: place.namespace, pod: place.pod }
  const container = place.container === NO_CONTAINER ? '' : html`, container <bdi>${place.container}</bdi>`
  yield html`<h1>${headline(manifest)}</h1>
    <p>
      <a href="${overviewHref(fields)}">${place.namespace}/${place.pod}</a>${container}, on
      <bdi>${manifest.node}</bdi>,
      <span class="time">${manifest.time.slice(0, 19).replace('T', ' ')}</span> UTC
    </p>
    <section>
      <h2>What is stored</h2>
      <p>
        ${outcomeView(manifest.core?.complete === false ? 'incomplete' : manifest.outcome, renderOutcome(manifest))}
      </p>
      ${warnings.map(warning => html`<p class="mid">${warning}</p>`)}${downloadLinks(deps.store, record)}
    </section> `
  yield commandsView(record.crash.id, host)
  if (signature !== undefined)
    yield html`<section>
      <h2>Signature</h2>
      <p class="mono">${signature}</p>
    </section>`
  if (stacks !== undefined) yield* stackViews(stacks, deps.demangle())
  yield html`<div class="pair facts">
    ${factsView('Crash', crashFields(manifest))}${factsView('Workload', workloadFields(workload))}
    ${factsView('Process', process === null ? [['process', manifest.processGone ?? 'gone']] : processFields(process))}
    ${factsView('Capture', outcomeFields(manifest))}
  </div> `
  if (manifest.files !== undefined) yield await filesView(deps.store, manifest.files)
  if (manifest.kit !== null) yield* logParts(deps, record)
  yield factsView('How the workload was found', sourceFields(workload))
}

async function* unfinishedParts(deps: CrashPageDeps, record: CrashRecord): AsyncGenerator<Html> {
  const { id, namespace, pod, objects } = record.crash
  const rows = [...(objects ?? [])].map(
    ([name, bytes]) =>
      html`<tr>
        <th scope="row" class="mono">${name}</th>
        <td class="number">${renderBytes(bytes)}</td>
      </tr>`,
  )
  yield html`<h1>Unfinished crash</h1>
    <p class="mono">${id}</p>
    <p><a href="${overviewHref({ namespace, pod })}">${namespace}/${pod}</a></p>
    <section>
      <h2>What is stored</h2>
      <p>
        ${outcomeView('unfinished')}: it has no manifest. Its core is still being uploaded, or its handler
        died.
      </p>
      ${numbersTable('Object', 'Size', rows)}
    </section>
    <section>
      <h2>Download</h2>
      ${downloadLinks(deps.store, record)}
    </section> `
  if (objects?.has(KIT_OBJECT)) yield* logParts(deps, record)
}

const LABELS: Readonly<Record<Download, string>> = {
  core: 'Core',
  'core.zst': 'Core as stored (zstd)',
  mini: 'Mini core',
  'kit.tar.zst': 'Kit (tar, zstd)',
  'manifest.json': 'Manifest (JSON)',
}

function downloadLinks(store: Store, record: CrashRecord): Html {
  const { crash, manifest } = record
  const names = downloadsOf(store, record)
  if (names.length === 0) return html`<p>There is nothing to download.</p>`
  const base = crashHref(manifest === undefined ? { prefix: crash.prefix } : { id: crash.id })
  const sizes: Partial<Record<Download, number | undefined>> = {
    core: manifest?.core?.bytesReceived,
    'core.zst': manifest?.core?.bytesStored,
    mini: manifest?.mini?.bytes,
    'kit.tar.zst': manifest?.kit?.bytes ?? crash.objects?.get(KIT_OBJECT),
  }
  const links = names.map(name => {
    const bytes = sizes[name]
    const size = bytes === undefined ? '' : html` <span class="size">${renderBytes(bytes)}</span>`
    return html`<a class="button" href="${base}/${name}" download>${LABELS[name]}${size}</a>`
  })
  return html`<p class="actions">${links}</p>`
}

function commandsView(id: string, host: string): Html {
  const gdb = `DEBUGINFOD_URLS="http://${host}" gdb -iex "set debuginfod enabled on" -c "$(corelift get ${id})"`
  return html`<section>
    <h2>Debug it</h2>
    <p id="c-debug">A debugger, with the program and its libraries as they were:</p>
    <pre class="copy" aria-labelledby="c-debug">corelift debug ${id}</pre>
    <p id="c-bt">Stacks with all symbols there are:</p>
    <pre class="copy" aria-labelledby="c-bt">corelift bt ${id}</pre>
    <p id="c-gdb">gdb alone, which asks this server for programs and libraries:</p>
    <pre class="copy" aria-labelledby="c-gdb">${gdb}</pre>
  </section> `
}

function factsView(heading: string, fields: readonly Field[]): Html {
  const known = fields.filter(([, value]) => value !== undefined && value !== null && value !== '')
  const rows = known.map(
    ([label, value]) =>
      html`<dt>${label}</dt>
        <dd>${value}</dd>`,
  )
  return html`<section>
    <h2>${heading}</h2>
    ${rows.length > 0 ? html`<dl>${rows}</dl>` : html`<p>Nothing is known.</p>`}
  </section> `
}

async function* logParts(
  { store, decompressor, logs }: CrashPageDeps,
  { crash, manifest }: CrashRecord,
): AsyncGenerator<Html> {
  const leave = await logs.enter()
  try {
    const tail = await readLogTail(store, crash.prefix, manifest, decompressor())
    if (tail === undefined) return
    const more = tail.isCut && html`<p class="dim">The kit has more of it.</p>`
    const lines = tail.lines.map(line => part`${line}\n`)
    yield html`<section>
      <h2>End of the log</h2>
      ${more}
      <pre>${lines}</pre>
    </section> `
  } catch (error) {
    if (!(error instanceof CoreliftError)) throw error
    yield html`<section>
      <h2>End of the log</h2>
      <p class="bad">${error.message} [${error.code}]</p>
    </section> `
  } finally {
    leave()
  }
}
