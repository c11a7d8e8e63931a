// Spools for tests, and crashes that wait in them.
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { nodeFiles, type SpoolFiles } from '../../src/spool/files.ts'
import { openSpool, type Spool, type SpoolOptions } from '../../src/spool/spool.ts'
import { fakeLock } from '../budget/fake-lock.ts'
import { stateDir } from '../budget/state-dir.ts'
import { crashNote, idOf } from './crash-note.ts'

export const KIB = 1024
/** What each note counts. */
export const NOTE_BYTES = 64 * KIB
const os = fakeLock()

/** A spool on a tmpfs. */
export async function open(t: Test, options: Partial<SpoolOptions> = {}, files?: SpoolFiles) {
  const path = options.path ?? join(stateDir(t), 'spool')
  const defaults: SpoolOptions = {
    ...{ path, key: 'spool.dir', bytesMax: 1 << 30, freeBytesMin: 0 },
    ...{ allowRootFilesystem: false, takesBlobs: true },
  }
  const spool = await openSpool(os, { ...defaults, ...options }, files)
  t.teardown(() => spool.close())
  return { spool, path }
}

/** A crash that waits, with so many bytes of core and of kit. */
export async function spooled(
  spool: Spool,
  number: number,
  coreBytes: number,
  { pod = 'web-0', kitBytes = 0 } = {},
) {
  const id = idOf(number)
  const entry = await spool.create(id)
  const core = Buffer.alloc(coreBytes, number)
  const kit = kitBytes > 0 ? Buffer.alloc(kitBytes, number) : undefined
  const keptKit = kit === undefined || (await entry.keep('kit.tar.zst', kit))
  const keptCore = await entry.keep('core.zst', core)
  const note = crashNote({ id, pod, kit: keptKit ? kit : undefined, core: keptCore ? core : undefined })
  await entry.save(keptCore ? { ...note, core: { bytes: coreBytes, parts: [] } } : note)
  await entry.release()
  return { id, keptCore, keptKit }
}

/** A disk that takes no more than so many bytes below a path, whatever was counted; and what is asked of it, in order. */
export function smallDisk(path: string, bytesMax: number) {
  const calls: string[] = []
  const full = (more: number) => {
    if (treeBytes(path) + more > bytesMax) throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
  }
  const files: SpoolFiles = {
    ...nodeFiles,
    open: async (...args) => {
      const handle = await nodeFiles.open(...args)
      const name = String(args[0]).replace(/^.*\//, '')
      const [write, sync] = [handle.writeFile.bind(handle), handle.sync.bind(handle)]
      handle.writeFile = async content => {
        calls.push(`write ${name}`)
        const bytes = content as Uint8Array
        // Half of it fits, as it is on a disk.
        await write(bytes.subarray(0, bytes.length / 2))
        full(bytes.length / 2)
        await write(bytes.subarray(bytes.length / 2))
      }
      handle.sync = async () => {
        calls.push(`sync ${name}`)
        await sync()
      }
      return handle
    },
    rename: async (from, to) => {
      calls.push(`rename ${String(from).replace(/^.*\//, '')}`)
      await nodeFiles.rename(from, to)
    },
  }
  return { files, calls }
}

function treeBytes(path: string): number {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter(file => file.isFile())
    .reduce((sum, file) => sum + statSync(join(file.parentPath, file.name)).size, 0)
}

/** What is in an entry, without sizes and checksums. */
export const namesOf = (path: string, id: string): string[] =>
  readdirSync(join(path, id))
    .map(name => name.replace(/\.\d+\.[0-9a-f]{64}$/, ''))
    .filter(name => !name.startsWith('reserved'))
