// From ID|POD to what a debugger is started on: finds, fetches, builds the tree, and says on stderr what is missing of it.
import { cacheBytesMax, cacheRoot } from '../debug/cache-root.ts'
import { Cache } from '../debug/cache.ts'
import type { DebugSession } from '../debug/debug-session.ts'
import { elfKind, type ElfKind } from '../debug/elf-file.ts'
import { bytesToFetch, fetchAll, type FetchedFile } from '../debug/fetch.ts'
import { planSysroot, type SysrootPlan } from '../debug/sysroot-plan.ts'
import { buildSysroot } from '../debug/sysroot.ts'
import type { Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import { chooseDebugCore, type ChosenCore, type Target } from './debug-target.ts'
import { missingFiles } from './missing-files.ts'
import { progressBar } from './progress.ts'
import { renderBytes } from './render.ts'
import { note } from './run.ts'
import type { Session } from './session.ts'
import { noSuchCore, type WantedCore } from './stored-core.ts'

export interface Prepared extends DebugSession {
  readonly plan: SysrootPlan
  readonly kinds: { readonly executable: ElfKind | undefined; readonly core: ElfKind | undefined }
  readonly coreKind: 'full' | 'trimmed' | 'mini'
}

/** @throws CoreliftError `E_OUTPUT`, `E_CONFIG` */
export async function openCache({ io, deps }: Session): Promise<Cache> {
  cacheBytesMax(io.env)
  return await Cache.open(cacheRoot(io.env), deps.os, deps.now())
}

/**
 * @throws CoreliftError `E_CORE_ABSENT` where the crash has no such core, `E_CORE_CORRUPT`, `E_OUTPUT`, `E_STORE_…`; the
 *   signal's reason when interrupted.
 */
export async function prepare(
  session: Session,
  store: Store,
  cache: Cache,
  target: Target,
  wanted: WantedCore,
): Promise<Prepared> {
  const { crash, manifest } = target
  const chosen = await chooseDebugCore(store, cache, target, wanted)
  if (chosen === undefined) throw noSuchCore(crash, manifest, wanted, target.others)
  await announce(session, crash.id, chosen)
  const plan = planSysroot(manifest ?? { process: null })
  const fetched = await fetchWithProgress(session, store, cache, { id: crash.id, chosen, plan })
  await tellMissing(session, manifest, plan, fetched.files)
  const has = new Set(fetched.files.filter(isThere).map(({ file }) => file))
  const tree = cache.path(await buildSysroot(cache, crash.id, plan, file => has.has(file)))
  const executable = plan.files.find(file => file.path === plan.executable && has.has(file))
  const paths = {
    core: cache.path(fetched.core),
    executable: executable && `${tree}/${executable.path}`,
    sysroot: tree,
    searchPaths: plan.searchPaths.map(path => (path === '' ? tree : `${tree}/${path}`)),
  }
  const kinds = {
    executable: paths.executable === undefined ? undefined : await elfKind(paths.executable),
    core: await elfKind(paths.core),
  }
  return { ...paths, plan, kinds, coreKind: chosen.core.kind }
}

const isThere = ({ state }: FetchedFile): boolean => state === 'cached' || state === 'fetched'

async function announce(session: Session, id: string, { core, larger }: ChosenCore): Promise<void> {
  const { kind, bytes, bytesMissing, bytesDropped } = core
  if (larger !== undefined)
    await note(
      session,
      `the mini core: every stack, without most of the memory; the ${larger.kind} one has ${renderBytes(larger.bytes ?? null)}: corelift debug ${id} --full`,
    )
  else if (kind === 'mini' && bytesDropped > 0)
    await note(session, 'the mini core: every stack, without most of the memory')
  if (kind === 'trimmed')
    await note(session, `a trimmed core: ${renderBytes(bytesDropped)} of the memory were left out`)
  if (bytesMissing > 0)
    await note(
      session,
      `this core is incomplete: ${bytesMissing} of ${bytesMissing + (bytes ?? 0)} bytes are missing`,
    )
}

async function fetchWithProgress(
  session: Session,
  store: Store,
  cache: Cache,
  { id, chosen, plan }: { id: string; chosen: ChosenCore; plan: SysrootPlan },
) {
  const { io, deps } = session
  const { core } = chosen
  const bytesTotal = await bytesToFetch(cache, id, core, plan.files)
  if (bytesTotal > 0) await cache.makeRoom(cacheBytesMax(io.env), bytesTotal)
  const progress = await progressBar(
    session,
    core.bytes === undefined || bytesTotal === 0 ? undefined : bytesTotal,
  )
  let bytes = 0
  const onBytes = (more: number): void => progress.update((bytes += more))
  const { interrupted } = io
  try {
    const fetching = { store, cache, decompressor: deps.decompressor(), interrupted, onBytes }
    return await fetchAll(fetching, id, core, plan.files)
  } finally {
    progress.stop()
  }
}

async function tellMissing(
  session: Session,
  manifest: Manifest | undefined,
  plan: SysrootPlan,
  fetched: readonly FetchedFile[],
): Promise<void> {
  for (const line of missingFiles(manifest, plan, fetched)) await note(session, line)
}
