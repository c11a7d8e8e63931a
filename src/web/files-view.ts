// The files that were mapped, and which of them are in the store.
import { mapConcurrent } from '../commands/concurrent.ts'
import { renderBytes } from '../commands/render.ts'
import { CoreliftError } from '../errors.ts'
import { parseDebugFileKey } from '../store/keys.ts'
import type { ManifestFile, ManifestFiles } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { html, type Html } from './html.ts'

/** Programs have tens; the store is asked about each. */
const FILES_MAX = 300
const STATS_IN_FLIGHT_MAX = 16

/** Asks the store, since a file may follow its crash, or be gone again. */
export async function filesView(store: Store, files: ManifestFiles): Promise<Html> {
  const shown = files.mapped.slice(0, FILES_MAX)
  const rows: Html[] = []
  for await (const row of mapConcurrent(shown, STATS_IN_FLIGHT_MAX, file => fileRow(store, file)))
    rows.push(row)
  const more = files.mapped.length - shown.length + files.mappedOmitted
  return html`<section>
    <h2 id="files">Mapped files</h2>
    <table class="cards" role="table" aria-labelledby="files">
      <thead role="rowgroup">
        <tr role="row">
          <th scope="col" role="columnheader">Path</th>
          <th scope="col" role="columnheader">Build-id or SHA-256</th>
          <th scope="col" role="columnheader" class="number">Size</th>
          <th scope="col" role="columnheader">In the store</th>
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${rows}
      </tbody>
    </table>
    ${more > 0 && html`<p class="dim">${more} more: the manifest may have them.</p>`}
  </section> `
}

async function fileRow(store: Store, file: ManifestFile): Promise<Html> {
  const id = file.buildId ?? file.sha256
  const bytes = file.bytes === undefined ? '–' : renderBytes(file.bytes)
  return html`<tr role="row">
    <th scope="row" role="rowheader" class="mono"><bdi>${file.path}</bdi></th>
    <td role="cell" class="mono" data-label="Build-id">${id ?? '–'}</td>
    <td role="cell" class="number" data-label="Size">${bytes}</td>
    <td role="cell" data-label="Stored">${await storedView(store, file)}</td>
  </tr> `
}

async function storedView(store: Store, { key, why }: ManifestFile): Promise<Html> {
  // Whoever wrote the manifest chose the key: it must not lead to anything else.
  if (key === undefined || parseDebugFileKey(key) === undefined)
    return html`no${why !== undefined && html`: ${why}`}`
  try {
    const stored = await store.stat(key)
    return stored === undefined
      ? html`not yet, or no longer`
      : html`<a href="/${key}" download>${renderBytes(stored.bytes)}</a>`
  } catch (error) {
    if (!(error instanceof CoreliftError)) throw error
    return html`<span class="bad">${error.code}</span>`
  }
}
