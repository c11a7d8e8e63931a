// Which path is answered by what.
import { before } from '../commands/time.ts'
import { CoreliftError } from '../errors.ts'
import { idTime } from '../store/keys.ts'
import { crashPage, type CrashPageDeps } from './crash-page.ts'
import { debugFile } from './debuginfod.ts'
import { DOWNLOADS, download } from './downloads.ts'
import { findRecord } from './found.ts'
import { html, type Html } from './html.ts'
import { errorPage, noSuchPage } from './layout.ts'
import { overviewPage, type OverviewDeps } from './overview-page.ts'
import { overviewHref } from './query.ts'
import { redirect, type Reply, type Request } from './reply.ts'
import { ICON, ICON_PATH, STYLE, STYLE_PATH } from './style.ts'

export type WebDeps = CrashPageDeps & OverviewDeps

const HOUR_MS = 3_600_000
/** Its path changes with its content. */
const KEPT = { 'Cache-Control': 'max-age=31536000, immutable' }

/** Answers one request. @throws What nobody foresaw. */
export async function respond(deps: WebDeps, request: Request): Promise<Reply> {
  const { path, query } = request
  switch (path) {
    case '/':
      return await overviewPage(deps, query)
    case '/find':
      return findReply(query.get('q')?.trim() ?? '')
    case STYLE_PATH:
      return { status: 200, headers: { 'Content-Type': 'text/css; charset=utf-8', ...KEPT }, body: [STYLE] }
    case ICON_PATH:
      return { status: 200, headers: { 'Content-Type': 'image/svg+xml' }, body: [ICON] }
  }
  if (path.startsWith('/crash/')) return await crashReply(deps, request)
  return (await debugFile(deps, path, request.acceptEncoding)) ?? noSuchPage(deps.store.url)
}

/** For the field on every page. */
function findReply(target: string): Reply {
  return redirect(target === '' ? '/' : `/crash/${encodeURIComponent(target)}`)
}

/** `/crash/<id|pod>[/<download>]`, `/crash/<namespace>/<pod>/<id>[/<download>]`. */
async function crashReply(deps: WebDeps, { path, host }: Request): Promise<Reply> {
  const parts = path.split('/').slice(2)
  const wanted = DOWNLOADS.find(name => parts.length % 2 === 0 && parts.at(-1) === name)
  const target = wanted === undefined ? parts : parts.slice(0, -1)
  if ((target.length !== 1 && target.length !== 3) || target.includes('')) return noSuchPage(deps.store.url)
  try {
    const record = await findRecord(deps.store, target)
    return wanted === undefined ? crashPage(deps, record, host) : await download(deps, record, wanted)
  } catch (error) {
    if (!(error instanceof CoreliftError)) throw error
    return errorPage(error, deps.store.url, adviceFor(target.at(-1)!))
  }
}

/** Where to look instead. */
function adviceFor(target: string): Html {
  const time = idTime(target)
  const at = (hours: number) => (time === undefined ? '' : before(time, -hours * HOUR_MS).toISOString())
  const around = overviewHref({ since: at(-1), until: at(1) })
  return html`<p>
    ${time !== undefined && html`<a href="${around}">Crashes of these hours</a>, `}<a href="/">all crashes</a>
  </p>`
}
