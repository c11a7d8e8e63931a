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
  /** Whether all that was expected was received. */
  readonly complete: boolean
  /** Of a full core what its head announced, of a trimmed one what was planned. */
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
  /** Of a trimmed core: what it left out. */
  readonly trimmed?: ManifestTrim
}

/** What a core leaves out of the full one. */
export interface ManifestTrim {
  readonly bytesDropped: number
  /** Those that lack something, those that lack most first, at most MAPPINGS_MAX. */
  readonly mappings: readonly ManifestMapping[]
  /** More of them, which are not listed. */
  readonly mappingsOmitted: number
}

export const MAPPINGS_MAX = 256

export interface ManifestMapping {
  /** Hexadecimal, as in /proc/<pid>/maps. */
  readonly start: string
  readonly end: string
  readonly bytesKept: number
  readonly bytesDropped: number
  /** The file, where it is of one. */
  readonly path?: string
}

export interface ManifestKit {
  readonly key: 'kit.tar.zst'
  /** Of the object. */
  readonly bytes: number
  /** SHA-256 of the object, in lower-case hex. */
  readonly sha256Stored?: string
}

/** The mini core, an entry of the kit. */
export interface ManifestMini {
  readonly entry: 'mini.core'
  readonly bytes: number
  /** Bytes that the full core has and this one not: 0 for one that is small enough to be whole. */
  readonly bytesDropped: number
  /** Bytes that could not be read and are zero in it; the kernel does the same. */
  readonly bytesUnreadable: number
}

/** Stacks of the threads, the crashed one first; threads with the same frames are told once. */
export interface ManifestStacks {
  /** What frames point to. */
  readonly modules: readonly { readonly path: string; readonly buildId?: string }[]
  readonly threads: readonly {
    /** In the process's own pid namespace. */
    readonly tids: readonly number[]
    readonly frames: readonly ManifestFrame[]
    /** Why the walk ended. */
    readonly end: string
  }[]
  /** Threads of which there is no stack: over the limit of threads, or of time. */
  readonly threadsOmitted: number
}

/** What a debugger needs beside the core: the executable, its libraries, and under which names it asks for them. */
export interface ManifestFiles {
  /** Files that were mapped from their beginning on, by address. */
  readonly mapped: readonly ManifestFile[]
  /** More of them, which are not listed. */
  readonly mappedOmitted: number
  /** The dynamic linker's list, in its order, but for the entries whose file is not in `mapped`. */
  readonly linkMap: readonly {
    /** l_name; empty for the executable. */
    readonly name: string
    /** Index into `mapped`. */
    readonly file: number
  }[]
  /** Index into `mapped`: the program that was executed. */
  readonly executable?: number
}

export interface ManifestFile {
  /** As the process saw it; with ` (deleted)` behind it, where it was. */
  readonly path: string
  /** Exact bytes, base64, of a path that is no UTF-8. */
  readonly raw?: string
  /** Where its first byte is, hexadecimal. */
  readonly start: string
  /** Size of the file. */
  readonly bytes?: number
  /** In hex. */
  readonly buildId?: string
  /** Of the content, in hex; only of files without a build-id. */
  readonly sha256?: string
  /** Relative to the store's prefix. It is stored there when the crash is, or soon afterwards. */
  readonly key?: string
  /** Why it is not stored. */
  readonly why?: string
}

export interface ManifestFrame {
  /** Address in the process, hexadecimal. */
  readonly pc: string
  /** Index into `modules`; absent for memory that is of no file. */
  readonly module?: number
  /** `pc` in the module's own addresses, hexadecimal. */
  readonly offset?: string
  /** Symbol and distance from it: `read+0x15`. */
  readonly function?: string
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
  readonly mini?: ManifestMini | null
  /** Signal and top frames of the thread that crashed: the same for crashes of the same kind. */
  readonly signature?: string
  readonly stacks?: ManifestStacks
  readonly files?: ManifestFiles
  /** Known for refused cores too, unless their head could not be read. */
  readonly size: { readonly bytesExpected: number | null }
  readonly kit: ManifestKit | null
  /** Where not the handler but a later sweep sent it: when, and what the store had said to the handler. */
  readonly delivery?: { readonly by: 'sweep'; readonly at: string; readonly why: string }
  /** Of crashes that the kernel started no handler for: how many this stands for, and when the first and last were. */
  readonly dropped?: { readonly count: number; readonly first: string; readonly last: string }
  /** Milliseconds from the handler's start until each step was done; docs/format.md names them. */
  readonly durations: Readonly<Record<string, number>>
  readonly warnings: readonly string[]
  readonly handler: { readonly version: string }
}

/**
 * The record of a crash of which nothing is known but what is given here.
 * @param about - Its time; the node, where that is known; why there is so little, in words; `whose` is why nobody is named.
 */
export function bareManifest(
  about: Pick<Manifest, 'id' | 'time' | 'node' | 'reason' | 'reasonText'> & {
    readonly version: string
    readonly whose: string
  },
): Manifest {
  const { id, time, node, reason, reasonText, version, whose } = about
  return {
    version: MANIFEST_VERSION,
    id,
    time,
    node,
    crash: {
      ...{ pid: 0, tid: 0, signal: 0, signalName: 'unknown', coreRlimitBytes: '0', dumpable: 0 },
      ...{ uid: 0, gid: 0, hostname: '', pidfd: 'absent' },
    },
    process: null,
    processGone: whose,
    workload: { kind: 'unknown', reason: whose, sources: [] },
    outcome: 'record',
    reason,
    reasonText,
    core: null,
    mini: null,
    size: { bytesExpected: null },
    kit: null,
    durations: {},
    warnings: [],
    handler: { version },
  }
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
