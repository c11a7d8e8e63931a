// A stored core or kit back to what was compressed: frames are fetched in runs, several requests at once, decompressed in
// order, and every byte is verified. Memory holds the runs in flight and one frame, whatever the core's size.

import { createHash } from 'node:crypto'
import { CoreliftError } from '../errors.ts'
import type { Store } from '../store/store.ts'
import type { FrameDecompressor } from '../zstd/codec.ts'
import { SEEK_TABLE_TAIL_BYTES, decodeSeekTable, type Frame } from '../zstd/seekable.ts'
import { mapConcurrent } from './concurrent.ts'

/** A request of this size hides a store's latency. */
const RUN_STORED_BYTES = 8 * 1024 * 1024
const RUNS_IN_FLIGHT_MAX = 4
/** Handlers write frames of 16 MiB at most; a table that claims much more is not to be believed, nor allocated for. */
const FRAME_BYTES_MAX = 64 * 1024 * 1024
/** Holds the seek table of a core of 128 GiB: the second request for it is rare. */
const TAIL_BYTES = 64 * 1024

/** Consecutive frames that one request fetches. */
interface Run {
  readonly offset: number
  readonly storedBytes: number
  readonly frames: readonly Frame[]
}

function corrupt(key: string, detail: string, cause?: unknown): CoreliftError {
  return new CoreliftError('E_CORE_CORRUPT', `${key}: ${detail}`, {
    hint: 'the object was damaged or replaced in the store',
    cause,
  })
}

/** A core's frames, and the bytes that say so: they end the object. */
export interface SeekTable {
  readonly frames: readonly Frame[]
  readonly stored: Uint8Array
}

/**
 * Reads a seek table, checked against the object's size.
 * @throws CoreliftError `E_CORE_CORRUPT`, `E_STORE_…`
 */
export async function readSeekTable(store: Store, key: string, storedBytes: number): Promise<SeekTable> {
  let tailBytes = Math.min(Math.max(TAIL_BYTES, SEEK_TABLE_TAIL_BYTES), storedBytes)
  for (;;) {
    const tail = await store.getRange(key, storedBytes - tailBytes, tailBytes)
    const read = decodeSeekTable(tail)
    if (read.state === 'invalid') throw corrupt(key, read.detail)
    if (read.state === 'table') {
      const framesBytes = read.frames.reduce((sum, frame) => sum + frame.storedBytes, 0)
      if (framesBytes + read.tableBytes === storedBytes) {
        return { frames: read.frames, stored: tail.subarray(-read.tableBytes) }
      }
      throw corrupt(
        key,
        `${storedBytes} bytes, where its seek table speaks of ${framesBytes + read.tableBytes}`,
      )
    }
    if (read.bytes <= tailBytes || read.bytes > storedBytes) throw corrupt(key, 'its seek table is cut')
    tailBytes = read.bytes
  }
}

function* runsOf(frames: readonly Frame[]): Generator<Run> {
  let offset = 0
  let run: Frame[] = []
  let storedBytes = 0
  for (const frame of frames) {
    run.push(frame)
    storedBytes += frame.storedBytes
    if (storedBytes < RUN_STORED_BYTES) continue
    yield { offset, storedBytes, frames: run }
    offset += storedBytes
    run = []
    storedBytes = 0
  }
  if (run.length > 0) yield { offset, storedBytes, frames: run }
}

function checkFrames(key: string, frames: readonly Frame[], expected: Expected): void {
  const bytes = frames.reduce((sum, frame) => sum + frame.bytes, 0)
  if (expected.bytes !== undefined && bytes !== expected.bytes) {
    throw corrupt(key, `its frames hold ${bytes} bytes, its manifest says ${expected.bytes}`)
  }
  const isHuge = frames.some(frame => frame.bytes > FRAME_BYTES_MAX || frame.storedBytes > FRAME_BYTES_MAX)
  if (isHuge) throw corrupt(key, `a frame is larger than ${FRAME_BYTES_MAX} bytes`)
}

/** What a manifest says of an object; of a crash without one nothing is known. */
export interface Expected {
  /** Uncompressed. */
  readonly bytes?: number
  readonly sha256Stored?: string
}

/**
 * Reads an object in the seekable format, uncompressed, in order.
 * @param onStored - Called with all of the object as it is stored, in order.
 * @returns Its frames, each with its own checksum verified; an end only when the whole object has the manifest's.
 * @throws CoreliftError `E_CORE_CORRUPT`, `E_CORE_ABSENT`, `E_STORE_…`
 */
export async function* readObject(
  store: Store,
  key: string,
  expected: Expected,
  decompressor: FrameDecompressor,
  onStored: (stored: Uint8Array) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const storedBytes = (await store.stat(key))?.bytes
  if (storedBytes === undefined) {
    throw new CoreliftError('E_CORE_ABSENT', `${key} is no longer in ${store.url}`, {
      hint: 'a lifecycle rule or somebody deleted it; its manifest is still there: corelift info',
    })
  }
  const table = await readSeekTable(store, key, storedBytes)
  checkFrames(key, table.frames, expected)
  const hash = createHash('sha256')
  const runs = mapConcurrent(runsOf(table.frames), RUNS_IN_FLIGHT_MAX, async run => ({
    run,
    stored: await store.getRange(key, run.offset, run.storedBytes),
  }))
  for await (const { run, stored } of runs) {
    hash.update(stored)
    onStored(stored)
    let at = 0
    for (const frame of run.frames) {
      const bytes = decompress(
        decompressor,
        stored.subarray(at, at + frame.storedBytes),
        frame,
        () => `${key} at byte ${run.offset + at}`,
      )
      at += frame.storedBytes
      yield bytes
    }
  }
  onStored(table.stored)
  const sha256 = hash.update(table.stored).digest('hex')
  if (expected.sha256Stored === undefined || sha256 === expected.sha256Stored) return
  throw corrupt(key, `its sha256 is ${sha256}, its manifest says ${expected.sha256Stored}`)
}

function decompress(
  decompressor: FrameDecompressor,
  stored: Uint8Array,
  frame: Frame,
  place: () => string,
): Uint8Array {
  try {
    return decompressor.frame(stored, frame.bytes)
  } catch (cause) {
    throw corrupt(place(), 'a frame does not decompress', cause)
  }
}
