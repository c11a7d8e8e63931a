// corelift export: a crash as one archive, for somebody who has neither credentials nor corelift. All its names are below
// one directory, and none of its links leads out of it.
import { createReadStream } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { runGdbScript } from '../debug/run-gdb.ts'
import { readEntries, MINI_ENTRY, TarWriter } from '../kit/tar.ts'
import { printable } from '../printable.ts'
import { kitKey } from '../store/keys.ts'
import { encodeManifest, type Manifest } from '../store/manifest.ts'
import type { Store } from '../store/store.ts'
import type { FrameCompressor, FrameDecompressor } from '../zstd/codec.ts'
import { SeekableWriter } from '../zstd/seekable-writer.ts'
import { readObject } from './download.ts'
import { commWord } from './file-word.ts'
import type { FoundCrash } from './find.ts'
import type { CoreSink } from './get.ts'
import type { Prepared } from './prepare-debug.ts'
import { exportReadme } from './render-export.ts'

/** Names of the kit's entries are fixed; what is no such name was put there by somebody else. */
const KIT_NAME = /^(?!\.)[a-z0-9.-]+(?:\/(?!\.)[a-z0-9.-]+)?$/i

export interface ExportSource {
  readonly store: Store
  readonly crash: FoundCrash
  readonly manifest: Manifest
  /** Core and tree, fetched. */
  readonly prepared: Prepared
  readonly decompressor: FrameDecompressor
}

/** @returns `corelift-<comm>-<id>`: nothing that a shell or a file system takes for its own. */
export function exportName({ id, process }: Pick<Manifest, 'id' | 'process'>): string {
  return `corelift-${commWord(process)}-${id}`
}

/**
 * Writes the archive.
 * @returns What was left out of it, in words.
 * @throws CoreliftError `E_CORE_CORRUPT`, `E_CORE_ABSENT` of the kit, `E_STORE_…`, `E_OUTPUT`; the signal's reason.
 */
export async function writeExport(
  source: ExportSource,
  compressor: FrameCompressor,
  sink: CoreSink,
  interrupted: AbortSignal,
): Promise<readonly string[]> {
  const { manifest, prepared } = source
  const seekable = new SeekableWriter(compressor, bytes => sink.write(bytes))
  const tar = new TarWriter(new Date(manifest.time), async bytes => {
    interrupted.throwIfAborted()
    await seekable.write(bytes)
  })
  const top = exportName(manifest)
  const addText = (name: string, text: Uint8Array, mode?: number) =>
    tar.add(`${top}/${name}`, text.length, [text], mode)
  await tar.addDirectory(top)
  await addText('manifest.json', encodeManifest(manifest))
  await addText('README.txt', Buffer.from(exportReadme(manifest, prepared)))
  const { executable, searchPaths } = prepared.plan
  const hasExecutable = prepared.executable !== undefined
  const script = runGdbScript({ executable: hasExecutable ? executable : undefined, searchPaths })
  await addText('run-gdb', Buffer.from(script), 0o755)
  await addFile(tar, `${top}/core`, prepared.core)
  await addTree(tar, `${top}/sysroot`, prepared.sysroot)
  const leftOut = await addKit(tar, `${top}/kit`, source)
  await tar.finish()
  await seekable.finish()
  return leftOut
}

async function addFile(tar: TarWriter, name: string, path: string): Promise<void> {
  const { size } = await lstat(path)
  await tar.add(name, size, createReadStream(path) as AsyncIterable<Uint8Array>)
}

/** The tree is our own: planned, and made of files and relative links. */
async function addTree(tar: TarWriter, name: string, directory: string): Promise<void> {
  await tar.addDirectory(name)
  const entries = await readdir(directory, { withFileTypes: true })
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const [path, inside] = [join(directory, entry.name), `${name}/${entry.name}`]
    if (entry.isDirectory()) await addTree(tar, inside, path)
    else if (entry.isSymbolicLink()) await tar.addLink(inside, await readlink(path))
    else await addFile(tar, inside, path)
  }
}

async function addKit(
  tar: TarWriter,
  name: string,
  { store, crash, manifest, prepared, decompressor }: ExportSource,
): Promise<readonly string[]> {
  if (manifest.kit === null) return []
  const { sha256Stored } = manifest.kit
  const expected = sha256Stored === undefined ? {} : { sha256Stored }
  const kit = readObject(store, kitKey(crash.prefix), expected, decompressor)
  const seen = new Set<string>()
  const leftOut: string[] = []
  await tar.addDirectory(name)
  for await (const entry of readEntries(kit)) {
    if (entry.name === MINI_ENTRY && prepared.coreKind === 'mini') continue
    if (!entry.isFile || !KIT_NAME.test(entry.name) || seen.has(entry.name)) {
      leftOut.push(`the kit's entry ${printable(entry.name)}: not a name that a kit has`)
      continue
    }
    seen.add(entry.name)
    await tar.add(`${name}/${entry.name}`, entry.bytes, entry.content)
  }
  return leftOut
}
