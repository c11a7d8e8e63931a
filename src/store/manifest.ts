// The record of a crash as stored beside its core: written last, so a crash without one is unfinished. docs/format.md
// specifies it. Types and encoding are here, for the handler; reading back checks a schema, in manifest-schema.ts, so
// that the handler never loads the schema's library.

import type { Policy } from '../budget/policy.ts'
import type { Outcome, PidfdState, RefusalReason, Workload } from '../crash.ts'

export const MANIFEST_VERSION = 1

export interface ManifestCrash {
  /** In the initial pid namespace, as `tid`. */
  readonly pid: number
  readonly tid: number
  readonly signal: number
  /** `SIGSEGV`; `signal 77` for one without a name. */
  readonly signalName: string
  /** 64 bits, so decimal digits; RLIM_INFINITY is `unlimited`. */
  readonly coreRlimitBytes: string
  readonly dumpable: number
  readonly uid: number
  readonly gid: number
  readonly hostname: string
  readonly pidfd: PidfdState
}

/** What /proc showed. Texts are UTF-8 with U+FFFD for bytes that are not. */
export interface ManifestProcess {
  readonly comm: string
  readonly exe: string
  readonly cmdline: readonly string[]
  readonly cwd: string
  readonly root: string
  readonly cgroup: string
  /** Since boot, in clock ticks: field 22 of proc_pid_stat(5). */
  readonly startTimeTicks?: number
  readonly ppid?: number
  readonly threads?: number
  /** The configured variables only. */
  readonly environ?: Readonly<Record<string, string>>
  /** Exact bytes, base64, of the fields above that are no UTF-8 (`cmdline`: with its NULs). */
  readonly raw?: Readonly<Record<string, string>>
}

export interface ManifestCore {
  readonly key: 'core.zst'
  /** Whether all that the core's head announced was received. */
  readonly complete: boolean
  readonly bytesExpected: number
  readonly bytesReceived: number
  /** The object's size: all frames and the seek table. */
  readonly bytesStored: number
  /** SHA-256 of the object as stored, in lower-case hex; each frame carries a checksum of its content besides. */
  readonly sha256Stored: string
  readonly codec: 'zstd-napi' | 'runtime'
  readonly frames: number
  /** Uncompressed bytes of every frame but the last. */
  readonly frameBytes: number
  readonly segments: number
  readonly threads: number
  /** `x86-64` and the like. */
  readonly machine: string
}

export interface Manifest {
  readonly version: typeof MANIFEST_VERSION
  readonly id: string
  /** ISO 8601, UTC, from the kernel's time of the crash. */
  readonly time: string
  readonly node: string
  readonly crash: ManifestCrash
  /** null when /proc/<pid> was gone or not the crasher's; `processGone` then says why. */
  readonly process: ManifestProcess | null
  readonly processGone?: string
  readonly workload: Workload
  /** What the configuration and the pod asked for. */
  readonly policy?: Policy
  readonly outcome: Outcome
  readonly reason: RefusalReason | null
  readonly reasonText: string | null
  readonly core: ManifestCore | null
  /** Known for refused cores too, unless their head could not be read. */
  readonly size: { readonly bytesExpected: number | null }
  readonly kit: { readonly key: 'kit.tar.zst'; readonly bytes: number } | null
  /** Milliseconds from the handler's start until each step was done: `procRead`, `headRead`, `identified`, `described`, `admitted`, `bodyRead`, `stored`. */
  readonly durations: Readonly<Record<string, number>>
  readonly warnings: readonly string[]
  readonly handler: { readonly version: string }
}

/** @returns The manifest as JSON, indented: people read it in the bucket too. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`)
}

/**
 * Turns bytes that a workload chose into a text for the manifest.
 * @returns The text, and the bytes in base64 (for `raw`) where the text does not hold them exactly.
 */
export function manifestText(bytes: Uint8Array): { text: string; raw: string | undefined } {
  const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)
  const isExact = Buffer.from(text).equals(bytes)
  return { text, raw: isExact ? undefined : Buffer.from(bytes).toString('base64') }
}
