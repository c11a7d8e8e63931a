// corelift cache: what lies in the debugger's cache, and how it goes away.
import { cacheEntries, pruneCache } from '../debug/cache-prune.ts'
import { cacheBytesMax, cacheRoot, checkOwn } from '../debug/cache-root.ts'
import { CoreliftError } from '../errors.ts'
import { renderCache, type CacheReport } from './render-debug.ts'
import { renderJson } from './render.ts'
import { note } from './run.ts'
import type { GlobalOptions, Session } from './session.ts'
import { colorsFor, write } from './terminal.ts'

export interface CacheOptions extends GlobalOptions {
  readonly prune?: boolean
  readonly clear?: boolean
}

export async function runCache(session: Session, options: CacheOptions): Promise<void> {
  const { io } = session
  if (options.prune && options.clear)
    throw new CoreliftError('E_USAGE', '--prune and --clear exclude each other')
  const report = await cacheReport(session, options)
  const colors = colorsFor(io.stdout, io.env, options.color)
  await write(io.stdout, options.json ? renderJson(report) : renderCache(report, colors))
  if (options.clear && report.entries.length > 0)
    await note(session, `${report.entries.length} entries are in use and stay: a debugger is running`)
}

async function cacheReport({ io, deps }: Session, { prune, clear }: CacheOptions): Promise<CacheReport> {
  const directory = cacheRoot(io.env)
  const bytesMax = cacheBytesMax(io.env)
  if (!(await checkOwn(directory))) return { directory, bytes: 0, bytesMax, entries: [] }
  const removed =
    prune || clear ? await pruneCache(directory, deps.os, clear ? -1 : bytesMax, deps.now()) : undefined
  const entries = await cacheEntries(directory)
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0)
  return { directory, bytes, bytesMax, entries, ...(removed && { removed }) }
}
