// One crash in the spool: a directory, which is its holder's for as long as that lives (flock(2)). Every step leaves it as it
// was or as it is to be; a power cut in between loses nothing that was promised.
import { blobBytes, blobOf, contentsOf, isCore, reservedFile, sha256Of } from './blobs.ts'
import { type Blob, type BlobName, type Contents, DONE, NOTE_FILE } from './blobs.ts'
import {
  codeOf,
  fullError,
  type OpenDirectory,
  readIfAny,
  spoolError,
  translateError,
  UNFINISHED,
  writeIfFits,
} from './files.ts'
import { decodeNote, encodeNote, type EntryNote } from './note.ts'
import type { SpoolRoot } from './root.ts'

/** Room is asked for in steps, so that it is not counted anew for every part. */
const RESERVED_BYTES_STEP = 32 * 1024 * 1024

/** One step at a time: it counts what it takes. */
export class Entry {
  readonly id: string
  readonly #root: SpoolRoot
  readonly #directory: OpenDirectory
  #note: EntryNote | 'corrupt' | undefined
  #reservedBytes = 0
  #blobBytes = 0
  #isReleased = false

  /** @param directory - Open and locked. */
  constructor(root: SpoolRoot, id: string, directory: OpenDirectory) {
    this.id = id
    this.#root = root
    this.#directory = directory
  }

  /** As it was read, or saved last; undefined: there is none (yet). */
  get note(): EntryNote | 'corrupt' | undefined {
    return this.#note
  }

  /** Reads what is there, for an entry that somebody else made. */
  async load(): Promise<this> {
    return await this.#step('read', async () => {
      const text = await readIfAny(this.#root.files, `${this.#directory.path}/${NOTE_FILE}`)
      this.#note = text && decodeNote(text)
      const contents = await this.contents()
      this.#blobBytes = blobBytes(contents)
      this.#reservedBytes = contents.reservedBytes
      return this
    })
  }

  /** Replaces the note; it is on the disk afterwards. */
  async save(note: EntryNote): Promise<void> {
    if (await this.saveIfFits(note)) return
    await this.#step('make room', () => this.#root.makeRoom(this, 'note', 0))
    if (!(await this.saveIfFits(note))) throw fullError(this.#root.key, this.#root.path)
  }

  /** As `save`, but nobody gives anything up for it. @returns Whether the disk had room. */
  async saveIfFits(note: EntryNote): Promise<boolean> {
    const saved = await this.#step('write the note', () => this.#write(NOTE_FILE, encodeNote(note)))
    if (!saved) return false
    this.#note = note
    // All that was to come is here: what was reserved beyond it is others'.
    if (note.state === 'sealed' && this.#reservedBytes > 0) await this.drop(() => false)
    return true
  }

  /** Keeps a blob; it is on the disk afterwards. @returns false where there is no room, whoever gave up what. */
  async keep(name: BlobName, body: Uint8Array): Promise<boolean> {
    if (!this.#root.takesBlobs) return false
    const blob = blobOf(name, body)
    return await this.#step(`write ${name}`, async () => {
      if (!(await this.#reserve(name, blob.bytes))) return false
      if (!(await this.#write(blob.file, body))) {
        // The disk has other users.
        if (!(await this.#root.makeRoom(this, isCore(name) ? 'core' : 'kit', blob.bytes))) return false
        if (!(await this.#write(blob.file, body))) return false
      }
      this.#blobBytes += blob.bytes
      return true
    })
  }

  async contents(): Promise<Contents> {
    return contentsOf(await this.#root.files.readdir(this.#directory.path))
  }

  async blobs(): Promise<ReadonlyMap<BlobName, Blob>> {
    const { blobs } = await this.#step('list', () => this.contents())
    return new Map(blobs.map(blob => [blob.name, blob]))
  }

  /** @returns undefined where it is not there, or not what its name says: the disk lost it. */
  async read(name: BlobName): Promise<Uint8Array | undefined> {
    return await this.#step(`read ${name}`, async () => {
      const blob = (await this.blobs()).get(name)
      if (blob === undefined) return undefined
      const body = await readIfAny(this.#root.files, `${this.#directory.path}/${blob.file}`).catch(
        (error: unknown) => {
          if (codeOf(error) === 'EIO') return undefined
          throw error
        },
      )
      const isWhole = body?.length === blob.bytes && sha256Of(body) === blob.sha256
      return isWhole ? body : undefined
    })
  }

  async drop(wanted: (name: BlobName) => boolean): Promise<void> {
    await this.#step('remove', async () => {
      const names = await this.#root.files.readdir(this.#directory.path)
      const { blobs, reservedFiles } = contentsOf(names)
      const files = blobs.filter(({ name }) => wanted(name)).map(({ file }) => file)
      // What is half-written counts against what was reserved, and for nothing without it.
      const unfinished = names.filter(name => name.startsWith(UNFINISHED))
      for (const file of [...files, ...unfinished, ...reservedFiles])
        await this.#root.files.rm(`${this.#directory.path}/${file}`, { force: true })
      this.#reservedBytes = 0
      this.#blobBytes = blobBytes(await this.contents())
    })
  }

  /** Milliseconds since the epoch: when something in it changed last. */
  async lastTouchedMs(): Promise<number> {
    return (await this.#step('look at', () => this.#root.files.stat(this.#directory.path))).mtimeMs
  }

  /** The end of an entry. */
  async remove(): Promise<void> {
    await this.#step('remove', async () => {
      const { files, directory } = this.#root
      const done = `${directory.path}/${DONE}${this.id}`
      await files.rename(`${directory.path}/${this.id}`, done)
      await directory.handle.sync()
      await files.rm(done, { recursive: true, force: true })
    })
    await this.release()
  }

  /** Gives it up, for others; again does nothing. */
  async release(): Promise<void> {
    if (this.#isReleased) return
    this.#isReleased = true
    await this.#directory.handle.close()
  }

  get bytesReserved(): number {
    return this.#reservedBytes
  }

  /** Writes down how much the entry may take. Called under the root's lock. */
  async noteReserved(bytes: number): Promise<void> {
    const { files } = this.#root
    const { reservedFiles } = await this.contents()
    const file = reservedFile(bytes)
    const handle = await files.open(`${this.#directory.path}/${file}`, 'w', 0o600)
    await handle.close()
    for (const older of reservedFiles.filter(name => name !== file))
      await files.rm(`${this.#directory.path}/${older}`, { force: true })
    this.#reservedBytes = bytes
  }

  async #write(file: string, content: Uint8Array): Promise<boolean> {
    return await writeIfFits(this.#root.files, this.#directory, file, content)
  }

  async #reserve(name: BlobName, bytes: number): Promise<boolean> {
    const wanted = this.#blobBytes + bytes
    if (wanted <= this.#reservedBytes) return true
    const kind = isCore(name) ? 'core' : 'kit'
    // A step where there is room for one, else as much as is needed.
    if (isCore(name) && (await this.#root.reserve(this, kind, wanted + RESERVED_BYTES_STEP, false)))
      return true
    return await this.#root.reserve(this, kind, wanted, true)
  }

  async #step<T>(what: string, act: () => Promise<T>): Promise<T> {
    const { key, path } = this.#root
    if (this.#isReleased) throw spoolError(key, path, `has no entry ${this.id} any more`)
    try {
      return await act()
    } catch (error) {
      throw translateError(key, path, what, error)
    }
  }
}
