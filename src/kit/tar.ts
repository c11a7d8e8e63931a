// Kits and exports as archives: tar, so that any tool opens them, written entry by entry and read back by name. The one
// place that knows tar-stream.
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { extract, pack, type Pack } from 'tar-stream'

/** Name of the mini core's entry. */
export const MINI_ENTRY = 'mini.core' as const

/** Writes entries one after the other, and collects nothing. */
export class TarWriter {
  readonly #pack: Pack = pack()
  readonly #mtime: Date
  readonly #drained: Promise<void>

  /** @param output - Receives the archive in order. */
  constructor(mtime: Date, output: (bytes: Uint8Array) => Promise<void>) {
    this.#mtime = mtime
    this.#drained = drain(this.#pack, output)
    // Reported by `finish`.
    this.#drained.catch(() => undefined)
  }

  /**
   * Adds an entry, once the one before is added.
   * @param bytes - The content's exact size.
   * @param content - Its chunks may be used again when the next is asked for.
   */
  async add(
    name: string,
    bytes: number,
    content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    mode = 0o600,
  ): Promise<void> {
    const header = { name, size: bytes, mode, mtime: this.#mtime }
    const entry = this.#pack.entry(header)
    for await (const chunk of content) if (!entry.write(Buffer.from(chunk))) await once(entry, 'drain')
    entry.end(undefined)
    await once(entry, 'close')
  }

  /** Adds a symbolic link. */
  async addLink(name: string, target: string): Promise<void> {
    const header = { name, linkname: target, type: 'symlink', mode: 0o777, mtime: this.#mtime } as const
    await new Promise<void>((resolve, reject) => {
      this.#pack.entry(header, error => (error ? reject(error) : resolve()))
    })
  }

  async addDirectory(name: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const header = { name, type: 'directory', mode: 0o755, mtime: this.#mtime } as const
      this.#pack.entry(header, error => (error ? reject(error) : resolve()))
    })
  }

  async finish(): Promise<void> {
    this.#pack.finalize()
    await this.#drained
  }
}

async function drain(from: Pack, output: (bytes: Uint8Array) => Promise<void>): Promise<void> {
  for await (const chunk of from as AsyncIterable<Uint8Array>) await output(chunk)
}

/**
 * Reads one entry of an archive, and the archive to its end, which may be what verifies it.
 * @returns Its content as it comes; nothing at all where there is no entry of that name.
 * @throws Error for what is no tar.
 */
export async function* readEntry(
  archive: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<Uint8Array> {
  for await (const entry of readEntries(archive)) if (entry.name === name) yield* entry.content
}

/** An entry while its archive is read. */
export interface TarEntry {
  readonly name: string
  readonly isFile: boolean
  readonly bytes: number
  /** To be read before the next entry is asked for, or not at all. */
  readonly content: AsyncIterable<Uint8Array>
}

/**
 * Reads an archive to its end.
 * @throws Error for what is no tar.
 */
export async function* readEntries(archive: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry> {
  const entries = extract()
  const source = Readable.from(archive)
  source.on('error', error => entries.destroy(error))
  source.pipe(entries)
  for await (const entry of entries) {
    const { name, type, size } = entry.header
    yield { name, isFile: type === 'file', bytes: size, content: entry as AsyncIterable<Uint8Array> }
    entry.resume()
  }
}
