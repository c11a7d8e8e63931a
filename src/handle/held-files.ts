// Executables and libraries of the process that crashed: opened while it is held, since that takes milliseconds and they
// may be gone afterwards with their container; told apart and sent when it is free again.
import { createHash } from 'node:crypto'
import { AT, auxiliaryVector } from '../core/auxv.ts'
import type { CoreHead } from '../core/head.ts'
import { fileBuildId, isImage } from '../core/image.ts'
import { moduleAt, type Module } from '../core/modules.ts'
import { type LinkMapEntry, linkMapEntries } from '../core/link-map.ts'
import { type OpenMappedFile, openMappedFile } from '../kernel/map-files.ts'
import { debugFileKey } from '../store/keys.ts'
import { type ManifestFile, type ManifestFiles, manifestText } from '../store/manifest.ts'
import type { Examination } from './examine.ts'

/** A descriptor each, of the 1,024 that the kernel starts a handler with. Large programs load some hundreds. */
const FILES_MAX = 512
/** More of them say nothing new. */
const LINK_MAP_MAX = 1024
const SLASH = 0x2f
const CHUNK_BYTES = 1024 * 1024

/** A file as the process had it mapped; or why it was not opened. */
export interface HeldFile {
  readonly module: Module
  readonly file: OpenMappedFile | undefined
  readonly why?: string
}

/** What is had of the process's files. They stay open, and their disk space taken, until the handler ends. */
export interface HeldFiles {
  /** By address. */
  readonly files: readonly HeldFile[]
  /** More than may be opened. */
  readonly omitted: number
  readonly linkMap: readonly LinkMapEntry[]
  /** An address in the executable. */
  readonly executable: number | undefined
}

/** @param all - Not only those that stack frames point to. */
export function holdFiles(
  pid: number,
  { modules, stacks, memory, isRemote }: Examination,
  head: CoreHead,
  all: boolean,
): HeldFiles {
  const inFrames = new Set(stacks.flatMap(({ frames }) => frames.map(({ module }) => module?.start)))
  const wanted = modules.filter(({ start }) => inFrames.has(start) || (all && isImage(memory, start)))
  const mapped = wanted.filter(({ path }) => path[0] === SLASH) // the vdso has no file
  // The first in address order may be those that nobody needs.
  const first = mapped.toSorted((a, b) => Number(inFrames.has(b.start)) - Number(inFrames.has(a.start)))
  const opened = new Set(first.slice(0, FILES_MAX))
  const auxv = auxiliaryVector(head.notes())
  return {
    files: mapped.filter(module => opened.has(module)).map(module => open(pid, module, isRemote)),
    omitted: mapped.length - opened.size,
    linkMap: all ? [...linkMapEntries(memory, auxv)].slice(0, LINK_MAP_MAX) : [],
    executable: auxv.get(AT.phdr),
  }
}

function open(pid: number, module: Module, isRemote: Examination['isRemote']): HeldFile {
  if (isRemote(module.start))
    return { module, file: undefined, why: 'not on a file system of the node itself' }
  const file = openMappedFile(pid, module.mappings[0]!)
  return file ? { module, file } : { module, file, why: 'it could not be opened' }
}

/** A file that the store may have. */
export interface DebugFile {
  readonly key: string
  readonly file: OpenMappedFile
}

/** What the manifest says of files; and what is to be in the store, the executable first, then the smallest. */
export interface IdentifiedFiles {
  readonly listed: ManifestFiles
  readonly stored: readonly DebugFile[]
}

/**
 * Tells files apart: build-ids are read, and the content of what has none.
 * @param fileBytesMax - undefined: none are stored.
 */
export async function identifyFiles(
  { files, omitted, linkMap: entries, executable: address }: HeldFiles,
  fileBytesMax: number | undefined,
): Promise<IdentifiedFiles> {
  const stored: DebugFile[] = []
  const mapped: ManifestFile[] = []
  for (const { module, file, why } of files) {
    const identity = file && (await identify(file, fileBytesMax))
    if (file && identity?.key !== undefined) stored.push({ key: identity.key, file })
    mapped.push({ ...placeOf(module), ...(file && { bytes: file.bytes }), ...(why && { why }), ...identity })
  }
  const modules = files.map(({ module }) => module)
  const indexAt = (address: number): number => {
    const module = moduleAt(modules, address)
    return module === undefined ? -1 : modules.indexOf(module)
  }
  const linkMap = entries
    .map(({ name, dynamic }) => ({ name: manifestText(name).text, file: indexAt(dynamic) }))
    .filter(({ file }) => file >= 0)
  const executable = address === undefined ? -1 : indexAt(address)
  const first = files[executable]?.file
  return {
    listed: { mapped, mappedOmitted: omitted, linkMap, ...(executable >= 0 && { executable }) },
    stored: stored.toSorted(
      (a, b) => Number(b.file === first) - Number(a.file === first) || a.file.bytes - b.file.bytes,
    ),
  }
}

function placeOf({ path, start }: Module): Pick<ManifestFile, 'path' | 'raw' | 'start'> {
  const { text, raw } = manifestText(path)
  return { path: text, ...(raw !== undefined && { raw }), start: start.toString(16) }
}

type Identity = Pick<ManifestFile, 'buildId' | 'sha256' | 'key' | 'why'>

async function identify(file: OpenMappedFile, fileBytesMax: number | undefined): Promise<Identity> {
  const buildId = fileBuildId(file)
  const known = buildId === undefined ? {} : { buildId }
  if (fileBytesMax === undefined) return { ...known, why: 'binaries.enabled is off' }
  if (file.bytes > fileBytesMax) return { ...known, why: 'larger than binaries.file_bytes_max' }
  if (buildId !== undefined) return { buildId, key: debugFileKey({ buildId }) }
  const sha256 = await contentHash(file)
  if (sha256 === undefined) return { why: 'it changed while it was read' }
  return { sha256, key: debugFileKey({ sha256 }) }
}

async function contentHash(file: OpenMappedFile): Promise<string | undefined> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of contentOf(file)) {
    hash.update(chunk)
    bytes += chunk.length
  }
  return bytes === file.bytes ? hash.digest('hex') : undefined
}

/** A file's content in pieces, the memory of which is used again; what else is under way goes on in between. */
export async function* contentOf(file: OpenMappedFile): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(CHUNK_BYTES, file.bytes))
  for (let at = 0; at < file.bytes;) {
    const filled = file.read(at, buffer.subarray(0, Math.min(buffer.length, file.bytes - at)))
    if (filled === 0) return
    yield buffer.subarray(0, filled)
    at += filled
    await new Promise(resolve => setImmediate(resolve))
  }
}
