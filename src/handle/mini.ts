// The mini core of a crash: planned, read from the process and packed at the head of its kit.
import type { Config } from '../config/table.ts'
import type { CoreHead } from '../core/head.ts'
import { miniBytesMax, PLAN_BYTES_MIN, planCore } from '../core/plan.ts'
import type { CrashFacts } from '../crash.ts'
import type { ManifestMini } from '../store/manifest.ts'
import type { FrameCompressor } from '../zstd/codec.ts'
import type { Examination } from './examine.ts'
import { Kit } from './kit.ts'

export interface MiniOptions {
  readonly crash: Pick<CrashFacts, 'timeSeconds'>
  readonly head: CoreHead
  readonly examination: Pick<Examination, 'memory' | 'files'>
  readonly limits: Config['mini']
  /** The kit's. */
  readonly compressor: () => FrameCompressor
}

/** A kit that begins with a mini core. */
export interface KitWithMini {
  readonly kit: Kit
  readonly mini: ManifestMini
}

/** Reads it, in a few milliseconds; the process may be let go afterwards. */
export async function readMini(options: MiniOptions): Promise<KitWithMini> {
  const { head, limits } = options
  return await readUpTo(miniBytesMax(head.threads, notesBytes(head), limits), options)
}

/**
 * Reads it again, when it turned out that it must be smaller.
 * @returns undefined where it would be too small to be of any use.
 */
export async function readSmallerMini(
  bytesMax: number,
  options: MiniOptions,
): Promise<KitWithMini | undefined> {
  return bytesMax < PLAN_BYTES_MIN ? undefined : await readUpTo(bytesMax, options)
}

async function readUpTo(
  bytesMax: number,
  { crash, head, examination: { memory, files }, compressor }: MiniOptions,
): Promise<KitWithMini> {
  const plan = planCore({ kind: 'mini', head, memory, files, bytesMax })
  const kit = new Kit(crash, compressor())
  return { kit, mini: await kit.addMini(plan, memory) }
}

const PROGRAM_HEADER_BYTES = 56
const notesBytes = (head: CoreHead): number =>
  Math.max(0, head.headBytes - head.segments * PROGRAM_HEADER_BYTES)
