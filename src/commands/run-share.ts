// Runs the commands that pass a crash on to somebody without credentials.
import { CoreliftError } from '../errors.ts'
import { parseDuration } from '../units.ts'
import { findTarget } from './debug-target.ts'
import { exportName, writeExport } from './export.ts'
import { PartialFile } from './partial-file.ts'
import { openCache, prepare } from './prepare-debug.ts'
import { renderJson } from './render.ts'
import { configSources, note, withStore, type TargetOptions } from './run.ts'
import { wantedCore } from './run-debug.ts'
import type { Session } from './session.ts'
import { chooseCore, noSuchCore } from './stored-core.ts'
import { write } from './terminal.ts'
import { signUrls, URL_OBJECTS, type UrlObject } from './url.ts'

export interface ExportOptions extends TargetOptions {
  readonly output?: string
  readonly force?: boolean
  readonly full?: boolean
  readonly mini?: boolean
}

export interface UrlOptions extends TargetOptions, Partial<Record<UrlObject, boolean>> {
  readonly expires: string
}

/** S3's bound for presigned URLs. */
const EXPIRES_SECONDS_MAX = 7 * 24 * 3600

export async function runExport(session: Session, wanted: string, options: ExportOptions): Promise<void> {
  const { io, deps } = session
  const asked = wantedCore(options)
  if (options.output === '-' && options.json)
    throw new CoreliftError('E_USAGE', '-o - and --json both write to stdout')
  const cache = await openCache(session)
  try {
    await withStore(session, options, async store => {
      const target = await findTarget(session, store, wanted, { namespace: options.namespace, newest: true })
      const { crash, manifest, others } = target
      const best = chooseCore(store, crash, manifest, asked)
      if (best === undefined || manifest === undefined) throw noSuchCore(crash, manifest, asked, others)
      // Whoever gets it cannot fetch the rest later.
      const prepared = await prepare(session, store, cache, target, best.kind === 'mini' ? 'mini' : 'full')
      const source = { store, crash, manifest, prepared, decompressor: deps.decompressor() }
      const path = options.output ?? `${exportName(manifest)}.tar.zst`
      if (path === '-') {
        const stdout = { write: (bytes: Uint8Array) => write(io.stdout, bytes) }
        return await tell(session, await writeExport(source, deps.compressor(), stdout, io.interrupted))
      }
      const partial = await PartialFile.create(path, options.force ?? false)
      try {
        await tell(session, await writeExport(source, deps.compressor(), partial, io.interrupted))
        await partial.finish()
      } catch (error) {
        await partial.discard()
        throw error
      }
      await write(io.stdout, options.json ? renderJson({ file: path, id: crash.id }) : `${path}\n`)
    })
  } finally {
    await cache.close()
  }
}

async function tell(session: Session, leftOut: readonly string[]): Promise<void> {
  for (const text of leftOut) await note(session, `left out: ${text}`)
}

export async function runUrl(session: Session, wanted: string, options: UrlOptions): Promise<void> {
  const { io, deps } = session
  const seconds = expiry(options.expires)
  const objects = URL_OBJECTS.filter(object => options[object])
  const { config } = deps.loadConfig(configSources(session, options, ['store.url']))
  const signer = await deps.openSigner(config.store)
  try {
    await withStore(session, options, async store => {
      const target = await findTarget(session, store, wanted, { namespace: options.namespace, newest: true })
      const now = deps.now()
      const urls = await signUrls(store, signer, target, objects, { seconds, now })
      const last = signer.credentialsExpireAt
      // Those of a file are said to expire at once, so that the file is read again: s3-client.ts.
      if (last !== undefined && last > now && last.getTime() < now.getTime() + seconds * 1000)
        await note(session, `these credentials, and the links with them, expire at ${last.toISOString()}`)
      const lines = urls.map(({ object, url }) =>
        objects.length === 1 ? url : `${object.padEnd(8)}  ${url}`,
      )
      await write(io.stdout, options.json ? renderJson(urls) : lines.map(line => `${line}\n`).join(''))
    })
  } finally {
    signer.close()
  }
}

function expiry(text: string): number {
  const seconds = parseDuration(text)
  if (seconds !== undefined && seconds >= 1 && seconds <= EXPIRES_SECONDS_MAX) return seconds
  throw new CoreliftError('E_USAGE', `not a time that a link can last: ${text}`, {
    hint: '--expires takes 10m, 1h or 2d; seven days at most',
  })
}
