// Executables and libraries on their way into the store, when all else is safe: what the fleet has already is not sent
// again, and whatever goes wrong costs the next crash a question. One handler of a node at a time.
import { closeSync, constants, openSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { bytesSentLately, type KnownFile, noteKnownFiles, readKnownFiles } from '../budget/known-files.ts'
import { openStateDir } from '../budget/state-dir.ts'
import type { Config } from '../config/table.ts'
import type { Os } from '../os/os.ts'
import type { DebugFileSpool } from '../spool/debug-files.ts'
import { openSpoolDir } from '../spool/open.ts'
import { collecting } from '../store/collecting.ts'
import { putDebugFile } from '../store/put-debug-file.ts'
import type { Store } from '../store/store.ts'
import type { FrameCompressor, Zstd } from '../zstd/codec.ts'
import { SeekableWriter } from '../zstd/seekable-writer.ts'
import type { Beginning } from './begin.ts'
import { contentOf, type DebugFile } from './held-files.ts'
import { inTime } from '../in-time.ts'

const LOCK_FILE = 'binaries.lock'
/**
 * Handlers that send or wait for their turn, each with its memory. In a storm the others leave it to the next crash of their
 * program.
 */
const PLACES = 4
const LOCK_PAUSE_MS = 100

interface SendDeps {
  readonly os: Pick<Os, 'tryLock'>
  /** Collects garbage, at once. */
  readonly collect: () => void
}

/**
 * Sends files, within their budgets. Never throws.
 * @param isUp - Whether the store took the crash; else files go to the spool, where there is one.
 */
export async function sendFiles(
  files: readonly DebugFile[],
  { config, store, zstd }: Pick<Beginning, 'config' | 'store' | 'zstd'>,
  { os, collect }: SendDeps,
  isUp: boolean,
): Promise<void> {
  const { stateDir } = config.budget
  if (unknown(files, stateDir).length === 0) return
  const deadlineMs = performance.now() + config.binaries.secondsMax * 1000
  try {
    collect() // What the core took is not needed any more.
    const lock = await lockInTime(os, stateDir, deadlineMs)
    if (lock === undefined) return
    // Whoever had the lock may have sent them.
    const sending = new Sending(config, os, isUp ? collecting(store, collect) : undefined, zstd, deadlineMs)
    await inTime(sending.send(unknown(files, stateDir)), { ms: deadlineMs - performance.now() })
    await noteKnownFiles(os, stateDir, sending.known, Date.now())
    closeSync(lock)
  } catch {
    // Nothing of the crash is lost, and the next one tries again.
  }
}

/** Each file once. */
function unknown(files: readonly DebugFile[], stateDir: string): DebugFile[] {
  const known = files.length === 0 ? undefined : readKnownFiles(stateDir, Date.now())
  return [...new Map(files.map(file => [file.key, file])).values()].filter(({ key }) => !known?.has(key))
}

/** @returns undefined where it is somebody else's for too long, or enough others wait. The end of the process gives it back. */
async function lockInTime(
  os: Pick<Os, 'tryLock'>,
  stateDir: string,
  deadlineMs: number,
): Promise<number | undefined> {
  const directory = openStateDir(stateDir)
  try {
    if (!takePlace(os, directory)) return undefined
    const lock = openLock(directory, LOCK_FILE)
    while (performance.now() < deadlineMs) {
      if (os.tryLock(lock)) return lock
      await sleep(LOCK_PAUSE_MS)
    }
    return undefined
  } finally {
    closeSync(directory)
  }
}

function takePlace(os: Pick<Os, 'tryLock'>, directory: number): boolean {
  return Array.from({ length: PLACES }).some((_, index) => {
    const lock = openLock(directory, `binaries-${index}.lock`)
    if (os.tryLock(lock)) return true
    closeSync(lock)
    return false
  })
}

function openLock(directory: number, name: string): number {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
  return openSync(`/proc/self/fd/${directory}/${name}`, flags, 0o600)
}

class Sending {
  readonly known = new Map<string, KnownFile>()
  readonly #config: Config
  readonly #os: Pick<Os, 'tryLock'>
  /** undefined: it takes nothing now. */
  #store: Store | undefined
  readonly #zstd: () => Zstd
  /** One for all files; another after a frame that was not ended. */
  #compressor: FrameCompressor | undefined
  readonly #deadlineMs: number
  #bytesLeft: number

  constructor(
    config: Config,
    os: Pick<Os, 'tryLock'>,
    store: Store | undefined,
    zstd: () => Zstd,
    deadlineMs: number,
  ) {
    const now = Date.now()
    const { crashBytesMax, hourBytesMax } = config.binaries
    const sent = bytesSentLately(readKnownFiles(config.budget.stateDir, now), now)
    this.#config = config
    this.#os = os
    this.#store = store
    this.#zstd = zstd
    this.#deadlineMs = deadlineMs
    this.#bytesLeft = Math.min(crashBytesMax, hourBytesMax - sent)
  }

  async send(files: readonly DebugFile[]): Promise<void> {
    let spool: DebugFileSpool | undefined
    for (const file of files) {
      if (performance.now() >= this.#deadlineMs) return
      if (this.#store !== undefined && (await this.#put(this.#store, file))) continue
      if (this.#config.spool.dir === undefined) return
      spool ??= (await openSpoolDir(this.#os, this.#config.spool)).debugFiles
      await spool.keep(file.key, file.file.bytes, write => this.#write(file, write))
    }
  }

  /** @returns false where the store takes nothing: it is not asked again. */
  async #put(store: Store, file: DebugFile): Promise<boolean> {
    const { key } = file
    const { bytes } = file.file
    if (bytes > this.#bytesLeft) return true
    try {
      const put = await putDebugFile(store, key, write => this.#write(file, write))
      const sent = put.state === 'sent' ? bytes : 0
      this.#bytesLeft -= sent
      this.known.set(key, { at: Date.now(), bytes: sent })
      return true
    } catch (error) {
      // It is another file by now, and nobody's.
      if (error instanceof ChangedError) return true
      this.#store = undefined
      return false
    }
  }

  /** @throws ChangedError when somebody writes to the file meanwhile. */
  async #write({ file }: DebugFile, write: (bytes: Uint8Array) => Promise<void> | undefined): Promise<void> {
    const compressor = this.#compressor ?? this.#zstd().compressor(this.#config.capture.zstdLevel, 'one')
    this.#compressor = undefined
    const seekable = new SeekableWriter(compressor, write)
    let bytes = 0
    for await (const chunk of contentOf(file)) {
      bytes += chunk.length
      await seekable.write(chunk)
    }
    if (bytes !== file.bytes) throw new ChangedError()
    await seekable.finish()
    this.#compressor = compressor
  }
}

class ChangedError extends Error {}
