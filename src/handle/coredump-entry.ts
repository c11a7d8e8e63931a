// A crash's entry in the journal, in systemd-coredump's own fields, so that `coredumpctl list` and `info`, and whatever else
// looks for its MESSAGE_ID, go on working: src/coredump in systemd. CORELIFT_ fields say the rest.
import type { CrashFacts } from '../crash.ts'
import type { JournalFields } from '../kernel/journal.ts'
import { type OpenFile, type ProcessFacts, type ProcFile, splitNul } from '../kernel/procfs.ts'
import { printable } from '../printable.ts'
import { signalName } from '../signals.ts'
import { pathOfKey } from '../store/file-path.ts'
import type { CrashKeys } from '../store/keys.ts'
import type { Committed } from './commit.ts'
import { commOf, type CrashRecord } from './record.ts'
import { stackText } from './stack-text.ts'

/** SD_MESSAGE_COREDUMP_STR, sd-messages.h. */
const MESSAGE_ID = 'fc2e22bc6ee647b6b90729ab34a250b1'
/** LOG_CRIT, as systemd-coredump's. journald syncs its file to the disk at once. */
const PRIORITY = 2

const KIB = 1024

/**
 * All fields are one datagram, which a socket's default buffer must hold (net.core.wmem_default, 208 KiB): these and the
 * message are 160 KiB at most.
 */
const FILE_BYTES_MAX = {
  status: 4 * KIB,
  limits: 4 * KIB,
  cgroup: 4 * KIB,
  auxv: 4 * KIB,
  mountinfo: 16 * KIB,
  maps: 32 * KIB,
} as const satisfies Partial<Record<ProcFile, number>>
const OPEN_FILES_BYTES_MAX = 16 * KIB
const ENVIRON_BYTES_MAX = 32 * KIB
const CMDLINE_LENGTH_MAX = 4 * KIB

/** Where what is kept of a crash is, or is to be. */
export interface Kept {
  readonly committed: Committed
  readonly keys: CrashKeys
  /** `store.url` */
  readonly storeUrl: string
}

/**
 * @param line - What the kernel log has of it: printable.
 * @returns Fields that a crash is found and understood by, and those with what /proc said, which may be too large.
 */
export function coredumpEntry(
  record: CrashRecord,
  line: string,
  kept: Kept,
): { readonly essential: JournalFields; readonly details: JournalFields } {
  const process = record.reading.state === 'read' ? record.reading.process : undefined
  return {
    essential: {
      MESSAGE: messageOf(record, line, kept),
      MESSAGE_ID,
      PRIORITY,
      SYSLOG_IDENTIFIER: 'corelift',
      ...corelifts(record, kept),
      COREDUMP_COMM: printable(commOf(record.reading)),
      ...kernels(record.crash),
      ...names(record, process),
      ...localFile(record, kept),
    },
    details: process === undefined ? {} : detailsOf(process),
  }
}

/** The line, where the core is, and the stack. */
function messageOf(record: CrashRecord, line: string, kept: Kept): string {
  const command = record.outcome === 'record' ? 'info' : 'debug'
  const where = `${printable(urlOf(record, kept))}\ncorelift ${command} ${record.id}`
  const stacks = record.stacks && stackText(record.stacks)
  return [line, where, stacks].filter(text => text !== undefined).join('\n\n')
}

/** Of what has most of the process's memory. */
function urlOf({ core, mini }: CrashRecord, { keys, storeUrl }: Kept): string {
  const key = core === null ? (mini === null ? keys.manifest : keys.kit) : keys.core
  return `${storeUrl.replace(/\/+$/, '')}/${key}`
}

function corelifts(record: CrashRecord, kept: Kept): JournalFields {
  const { id, place, outcome, reduction, signature } = record
  return {
    CORELIFT_ID: id,
    CORELIFT_NAMESPACE: printable(place.namespace),
    CORELIFT_POD: printable(place.pod),
    CORELIFT_CONTAINER: printable(place.container),
    CORELIFT_OUTCOME: outcome,
    CORELIFT_WHEREABOUTS: kept.committed.state,
    CORELIFT_URL: printable(urlOf(record, kept)),
    ...(reduction && { CORELIFT_REASON: reduction.reason }),
    ...(signature !== undefined && { CORELIFT_SIGNATURE: printable(signature) }),
  }
}

function kernels(crash: CrashFacts): JournalFields {
  return {
    COREDUMP_PID: crash.pid,
    COREDUMP_TID: crash.tid,
    COREDUMP_UID: crash.uid,
    COREDUMP_GID: crash.gid,
    COREDUMP_SIGNAL: crash.signal,
    COREDUMP_SIGNAL_NAME: signalName(crash.signal),
    COREDUMP_TIMESTAMP: `${crash.timeSeconds}000000`, // µs
    COREDUMP_RLIMIT: String(crash.coreRlimitBytes),
    COREDUMP_HOSTNAME: printable(crash.hostname),
    COREDUMP_DUMPABLE: crash.dumpable,
  }
}

/** coredumpctl prints these as they are. */
function names({ workload }: CrashRecord, process: ProcessFacts | undefined): JournalFields {
  const { files, links, threadComm, containerCmdline } = process ?? { files: {}, links: {} }
  const cgroup = files.cgroup && cgroupPath(files.cgroup)
  const units = workload.kind === 'host' ? { UNIT: workload.unit, SLICE: workload.slice } : {}
  const known = {
    EXE: links.exe && printable(links.exe),
    CMDLINE: files.cmdline && words(files.cmdline),
    CWD: links.cwd && printable(links.cwd),
    ROOT: links.root && printable(links.root),
    CGROUP: cgroup === undefined ? undefined : printable(cgroup),
    ...units,
    THREAD_NAME: threadComm && printable(threadComm).replace(/\\n$/, ''),
    CONTAINER_CMDLINE: containerCmdline && words(containerCmdline),
  }
  return prefixed(known)
}

/** As /proc/<pid>/cgroup has it: the path of the unified hierarchy, else of the one that systemd keeps units in. */
function cgroupPath(text: Uint8Array): string | undefined {
  const lines = Buffer.from(text).toString('utf8').split('\n')
  const paths = [/^0::(.*)/, /^\d+:name=systemd:(.*)/].flatMap(hierarchy =>
    lines.flatMap(line => hierarchy.exec(line)?.[1] ?? []),
  )
  return paths.find(path => path !== '/') ?? paths[0]
}

/** The kernel allows megabytes of arguments. */
const words = (cmdline: Uint8Array): string =>
  splitNul(cmdline.subarray(0, CMDLINE_LENGTH_MAX))
    .map(word => printable(word))
    .join(' ')
    .slice(0, CMDLINE_LENGTH_MAX)

/** A file store's core is a file that coredumpctl can open, while the store is mounted. */
function localFile({ core, outcome }: CrashRecord, { committed, keys, storeUrl }: Kept): JournalFields {
  const directory = /^file:\/\/(\/.*)$/s.exec(storeUrl)?.[1]
  if (directory === undefined || core === null || committed.state === 'spooled') return {}
  const isWhole = core.complete && outcome === 'full'
  return {
    COREDUMP_FILENAME: pathOfKey(directory, keys.core),
    ...(!isWhole && { COREDUMP_TRUNCATED: 1 }),
  }
}

function detailsOf({ files, openFiles, environ }: ProcessFacts): JournalFields {
  const inProc = Object.entries(FILE_BYTES_MAX).map(([name, bytesMax]) => {
    const bytes = files[name as ProcFile]
    return [`PROC_${name.toUpperCase()}`, bytes && wholeLines(bytes, bytesMax)]
  })
  const variables = environ.map(([name, value]) => Buffer.concat([Buffer.from(`${name}=`), value, NEWLINE]))
  return prefixed({
    ...(Object.fromEntries(inProc) as Record<string, Uint8Array | undefined>),
    OPEN_FDS: wholeLines(Buffer.concat(openFiles.map(openFileText)), OPEN_FILES_BYTES_MAX),
    ENVIRON: environ.length > 0 ? wholeLines(Buffer.concat(variables), ENVIRON_BYTES_MAX) : undefined,
  })
}

const NEWLINE = Buffer.from('\n')

/** As systemd's: the descriptor and its file, and what /proc/<pid>/fdinfo has of it. */
const openFileText = ({ fd, target, info }: OpenFile): Buffer =>
  Buffer.concat([Buffer.from(`${fd}:`), target, NEWLINE, info, NEWLINE])

/** @returns The bytes; of longer ones as many whole lines as fit, if there are lines. */
function wholeLines(bytes: Uint8Array, bytesMax: number): Uint8Array {
  if (bytes.length <= bytesMax) return bytes
  const kept = bytes.subarray(0, bytesMax)
  return kept.subarray(0, kept.lastIndexOf(NEWLINE[0]!) + 1 || bytesMax)
}

function prefixed(fields: Readonly<Record<string, string | Uint8Array | undefined>>): JournalFields {
  const known = Object.entries(fields).flatMap(([name, value]) =>
    value === undefined ? [] : [[`COREDUMP_${name}`, value] as const],
  )
  return Object.fromEntries(known)
}
