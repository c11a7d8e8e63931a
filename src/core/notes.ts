// The notes of an ELF core: what the kernel says of threads, signal and mapped files (elf(5) "Notes", the kernel's
// fs/binfmt_elf.c). Every length in them is hostile; readers end where a note contradicts itself and never throw.

const NT_PRSTATUS = 1
const NT_SIGINFO = 0x53494749
const NT_FILE = 0x46494c45

/** namesz, descsz, type. */
const NOTE_HEADER_BYTES = 12

/** A pointer in siginfo_t's union means an address for these only: sigaction(2), "si_addr". */
const SIGNALS_WITH_ADDRESS = new Set([4, 5, 7, 8, 11]) // ILL, TRAP, BUS, FPE, SEGV
/** si_code of a fault whose address the processor did not tell, as a general protection fault. */
const SI_KERNEL = 0x80

export interface Note {
  /** Owner: `CORE` or `LINUX` for the kernel's own. */
  readonly name: string
  /** NT_…; its meaning depends on the name. */
  readonly type: number
  /** A view of the head's bytes. */
  readonly desc: Uint8Array
}

/** From NT_SIGINFO. */
export interface SignalInfo {
  readonly signo: number
  readonly code: number
  readonly errno: number
  /** Address that faulted, where the signal has one. */
  readonly address: bigint | undefined
}

/** From NT_PRSTATUS. */
export interface ThreadStatus {
  /** In the pid namespace of the process itself. */
  readonly tid: number
  readonly signal: number
}

/** One mapping of a file, from NT_FILE. */
export interface MappedFile {
  readonly start: bigint
  readonly end: bigint
  /** Bytes into the file. */
  readonly fileOffset: bigint
  /** As the kernel names it: no encoding may be assumed. */
  readonly path: Uint8Array
}

export interface NotesSummary {
  /** Notes of type NT_PRSTATUS: one a thread. */
  readonly threads: number
  /** The first of them: the kernel writes the thread that crashed before all others. */
  readonly crashingThread: ThreadStatus | undefined
  readonly signalInfo: SignalInfo | undefined
  /** Where the walk ended: at the end of the region, or at a note that does not fit into it. */
  readonly bytesRead: number
}

/**
 * Walks notes until the region ends, or a note does not fit into it.
 * @param region - The PT_NOTE segment, as far as it was read.
 * @returns Offset behind the last note that fits.
 */
export function* notesIn(region: Uint8Array): Generator<Note, number> {
  const view = viewOf(region)
  let at = 0
  while (at + NOTE_HEADER_BYTES <= region.length) {
    const nameBytes = view.getUint32(at, true)
    const descAt = at + NOTE_HEADER_BYTES + padded(nameBytes)
    const descEnd = at + noteBytes(view, at)
    if (descEnd > region.length) return at
    yield {
      name: nameIn(region.subarray(at + NOTE_HEADER_BYTES, at + NOTE_HEADER_BYTES + nameBytes)),
      type: view.getUint32(at + 8, true),
      desc: region.subarray(descAt, descEnd),
    }
    at = Math.min(padded(descEnd), region.length)
  }
  return at
}

/**
 * Size of the note at `at` by its own account, without the padding that follows it.
 * @returns undefined where the region has no room for a note's header.
 */
export function noteBytesAt(region: Uint8Array, at: number): number | undefined {
  return at + NOTE_HEADER_BYTES <= region.length ? noteBytes(viewOf(region), at) : undefined
}

/** Reads what a record needs of the notes, in one pass. */
export function summarizeNotes(region: Uint8Array): NotesSummary {
  let threads = 0
  let crashingThread: ThreadStatus | undefined
  let signalInfo: SignalInfo | undefined
  const notes = notesIn(region)
  for (;;) {
    const next = notes.next()
    if (next.done) return { threads, crashingThread, signalInfo, bytesRead: next.value }
    const { name, type, desc } = next.value
    if (name !== 'CORE') continue
    if (type === NT_PRSTATUS && ++threads === 1) crashingThread = readThreadStatus(desc)
    if (type === NT_SIGINFO) signalInfo ??= readSignalInfo(desc)
  }
}

/**
 * Mappings of files, in address order as the kernel writes them. Ends early where the note contradicts itself; empty
 * when there is none (the kernel drops it above kernel.core_file_note_size_limit).
 */
export function* mappedFiles(notes: Iterable<Note>): Generator<MappedFile> {
  for (const note of notes) {
    if (note.name !== 'CORE' || note.type !== NT_FILE) continue
    yield* filesIn(note.desc)
    return
  }
}

/** NT_FILE: count, page size, count × (start, end, offset in pages), count × NUL-terminated path. */
function* filesIn(desc: Uint8Array): Generator<MappedFile> {
  const FIXED_BYTES = 16
  const ENTRY_BYTES = 24
  if (desc.length < FIXED_BYTES) return
  const view = viewOf(desc)
  const count = view.getBigUint64(0, true)
  const pageBytes = view.getBigUint64(8, true)
  if (count > BigInt(Math.floor((desc.length - FIXED_BYTES) / ENTRY_BYTES))) return
  let pathAt = FIXED_BYTES + Number(count) * ENTRY_BYTES
  for (let at = FIXED_BYTES; at < FIXED_BYTES + Number(count) * ENTRY_BYTES; at += ENTRY_BYTES) {
    const pathEnd = desc.indexOf(0, pathAt)
    if (pathEnd < 0) return
    yield {
      start: view.getBigUint64(at, true),
      end: view.getBigUint64(at + 8, true),
      fileOffset: view.getBigUint64(at + 16, true) * pageBytes,
      path: desc.subarray(pathAt, pathEnd),
    }
    pathAt = pathEnd + 1
  }
}

/** struct elf_prstatus: pr_cursig at 12, pr_pid at 32 on every 64-bit machine; registers follow. */
function readThreadStatus(desc: Uint8Array): ThreadStatus | undefined {
  if (desc.length < 36) return undefined
  const view = viewOf(desc)
  return { tid: view.getInt32(32, true), signal: view.getInt16(12, true) }
}

/** siginfo_t: si_signo, si_errno, si_code, 4 bytes of padding, si_addr. */
function readSignalInfo(desc: Uint8Array): SignalInfo | undefined {
  if (desc.length < 24) return undefined
  const view = viewOf(desc)
  const signo = view.getInt32(0, true)
  const code = view.getInt32(8, true)
  // Codes of 0 and below say that a process sent the signal: the union then holds its pid and uid.
  const faulted = SIGNALS_WITH_ADDRESS.has(signo) && code > 0 && code !== SI_KERNEL
  return {
    signo,
    errno: view.getInt32(4, true),
    code,
    address: faulted ? view.getBigUint64(16, true) : undefined,
  }
}

function noteBytes(view: DataView, at: number): number {
  return NOTE_HEADER_BYTES + padded(view.getUint32(at, true)) + view.getUint32(at + 4, true)
}

/** Without the NUL that ends it. */
function nameIn(bytes: Uint8Array): string {
  const end = bytes.at(-1) === 0 ? bytes.length - 1 : bytes.length
  return Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('latin1')
}

/** Names and descriptors are padded to 4 bytes, in 64-bit cores too: the kernel's writenote. */
function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
