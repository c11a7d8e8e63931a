// The kit as an archive: tar, so that any tool opens it, written entry by entry and read back by name. The one place that
// knows tar-stream.
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
  async add(name: string, bytes: number, content: Iterable<Uint8Array>): Promise<void> {
    const header = { name, size: bytes, mode: 0o600, mtime: this.#mtime }
    const entry = this.#pack.entry(header)
    for (const chunk of content) if (!entry.write(Buffer.from(chunk))) await once(entry, 'drain')
    entry.end(undefined)
    await once(entry, 'close')
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
  const entries = extract()
  const source = Readable.from(archive)
  source.on('error', error => entries.destroy(error))
  source.pipe(entries)
  for await (const entry of entries) {
    if (entry.header.name === name) yield* entry as AsyncIterable<Uint8Array>
    else entry.resume()
  }
}
