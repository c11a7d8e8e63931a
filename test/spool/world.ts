// The world of the spool's model: file operations at which processes die, the sweep, and what must hold at any moment.
import { readdirSync, statSync } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { CoreliftError } from '../../src/errors.ts'
import { nodeFiles, type SpoolFiles } from '../../src/spool/files.ts'
import { finishEntry } from '../../src/spool/finish.ts'
import type { Spool } from '../../src/spool/spool.ts'
import type { Manifest } from '../../src/store/manifest.ts'
import { crashNote, sha256 } from './crash-note.ts'
import { type FakeStore, type Fuse, Killed } from './fake-store.ts'

const NOTE_BYTES = 64 * 1024
export const BYTES_MAX = 4 * NOTE_BYTES + 9 * 1024
/** What was promised of a crash: its objects, as its handler had them. */
export interface Crash {
  readonly id: string
  readonly kit: Buffer
  readonly core: Buffer
  /** The handler sealed its note: this crash must be heard of. */
  readonly isPromised: boolean
}

/** Nothing but what is told here may explain a part that is sent twice, or an upload that is left. */
export interface Told {
  kills: number
  /** That the store had, of uploads that it dropped. */
  partsAborted: number
  /** Keys of what they were of. */
  readonly aborted: Set<string>
  /** Ids of crashes of which the disk lost something. */
  readonly damaged: Set<string>
  /** That the node was not allowed to ask the store. */
  blindness: number
}

export interface Real {
  readonly path: string
  readonly spool: Spool
  readonly store: FakeStore
  readonly fuse: Fuse
  /** Files of the process that is at work. */
  readonly opened: Set<FileHandle>
  readonly crashes: Map<string, Crash>
  readonly told: Told
}

/**
 * File operations that die where the fuse says: what is being written is then half there.
 * @param opened - Receives what is open, for the kernel to close when its process dies.
 */
export function fusedFiles(fuse: Fuse, opened: Set<FileHandle>): SpoolFiles {
  const fused = Object.fromEntries(
    Object.entries(nodeFiles).map(([name, call]) => [
      name,
      async (...args: never[]) => {
        fuse.step()
        return await (call as (...args: never[]) => Promise<unknown>)(...args)
      },
    ]),
  ) as unknown as SpoolFiles
  return {
    ...fused,
    open: async (...args) => {
      const handle = await fused.open(...args)
      opened.add(handle)
      const write = handle.writeFile.bind(handle)
      handle.writeFile = async content => {
        try {
          fuse.step()
        } catch (error) {
          await write((content as Uint8Array).subarray(0, (content as Uint8Array).length / 2))
          throw error
        }
        await write(content)
      }
      return handle
    },
  }
}

export async function unlessKilled({ opened }: Real, act: () => Promise<unknown>): Promise<void> {
  try {
    await act()
  } catch (error) {
    for (const handle of opened) await handle.close().catch(() => undefined)
    opened.clear()
    // A disk that dies in the hands of somebody is translated, as every error of it is.
    const cause = error instanceof CoreliftError ? error.cause : error
    if (!(cause instanceof Killed)) throw error
  }
}

export async function sweep({ spool, store }: Real): Promise<void> {
  await spool.tidy()
  for (const onlySmall of [true, false])
    for (const id of await spool.ids()) {
      const entry = await spool.claim(id)
      if (entry === undefined || entry === 'busy') continue
      try {
        // What a sweep makes of it is test/sweep's.
        if (typeof entry.note !== 'object') {
          await entry.remove()
          continue
        }
        const result = await finishEntry(entry, store.asStore(), {
          now: () => new Date(0),
          by: 'sweep',
          onlySmall,
        })
        if (result.state === 'waiting' && result.error.cause instanceof Killed) throw result.error.cause
      } finally {
        await entry.release()
      }
    }
}

export function filesIn(path: string): string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter(file => file.isFile())
    .map(file => join(file.parentPath, file.name))
}

export async function checkAll({ path, store, crashes, spool, told }: Real): Promise<void> {
  // Notes count what they may grow to.
  const blobs = filesIn(path).filter(file => !/entry\.json$|dropped\.json$/.test(file))
  const entries = readdirSync(path).filter(name => !name.endsWith('dropped.json'))
  const bytes = blobs.reduce((sum, file) => sum + statSync(file).size, entries.length * NOTE_BYTES)
  if (bytes > BYTES_MAX) throw new Error(`${bytes} bytes in the spool`)
  const { lost } = await spool.usage()
  let missing = 0
  for (const crash of crashes.values()) {
    const { keys } = crashNote({ id: crash.id, pod: podOf(store, crash.id) })
    const manifest = store.objects.get(keys.manifest)
    if (manifest !== undefined)
      checkManifest(store, crash, keys, JSON.parse(Buffer.from(manifest).toString()) as Manifest, told)
    else if (crash.isPromised && !readdirSync(path).includes(crash.id)) missing++
  }
  if (missing > lost) throw new Error(`${missing} crashes vanished, ${lost} of them are counted`)
}

/** Tests know a crash by its id; its keys have its pod. */
function podOf(store: FakeStore, id: string): string {
  const key = [...store.objects.keys()].find(key => key.startsWith('crashes/') && key.includes(id))
  return key?.split('/')[2] ?? 'web-0'
}

/** What counts as done is whole. */
function checkManifest(
  store: FakeStore,
  crash: Crash,
  keys: { readonly kit: string; readonly core: string },
  manifest: Manifest,
  told: Told,
): void {
  const { kit, core, outcome, reasonText, warnings } = manifest
  const stored = (key: string) => store.objects.get(key) ?? Buffer.of()
  if (kit !== null && sha256(stored(keys.kit)) !== sha256(crash.kit)) throw new Error(`kit of ${crash.id}`)
  if (core !== null && sha256(stored(keys.core)) !== sha256(crash.core))
    throw new Error(`core of ${crash.id}`)
  if ((outcome === 'full') !== (core !== null)) throw new Error(`${outcome} of ${crash.id}`)
  // What it says that it lost, it lost indeed.
  const said = [reasonText, ...warnings].join()
  const causes: [RegExp, boolean][] = [
    [/was damaged in the spool/, told.damaged.has(crash.id)],
    [/the store does not have what was sent/, told.aborted.has(keys.core)],
    // Whoever may not look cannot tell an upload that was aborted from one that was completed.
    [/may not read/, told.blindness > 0 && (told.kills > 0 || told.aborted.has(keys.core))],
  ]
  for (const [words, isTrue] of causes)
    if (words.test(said) && !isTrue) throw new Error(`${crash.id} says: ${said}`)
}
