// What runs use of a cache, so that none takes it from another: a file for each, locked as long as its process lives.
import { randomBytes } from 'node:crypto'
import { open, readFile, readdir, unlink, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Os } from '../os/os.ts'

export class CacheRun {
  readonly #path: string
  readonly #file: FileHandle
  readonly #names = new Set<string>()

  private constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /** @param root - Of the cache. */
  static async begin(root: string, os: Pick<Os, 'tryLock'>): Promise<CacheRun> {
    for (;;) {
      const path = join(root, 'runs', `${process.pid}.${randomBytes(6).toString('hex')}`)
      const file = await open(path, 'wx', 0o600)
      os.tryLock(file.fd)
      // Another may have found it before it was locked, and taken it for that of a process that died.
      if ((await file.stat()).nlink > 0) return new CacheRun(path, file)
      await file.close()
    }
  }

  async add(name: string): Promise<void> {
    if (this.#names.has(name)) return
    this.#names.add(name)
    await this.#file.write(`${name}\n`)
  }

  async end(): Promise<void> {
    await unlink(this.#path).catch(() => undefined)
    await this.#file.close()
  }
}

/** @returns Names that live runs use. What runs left that died is removed. */
export async function namesInUse(root: string, os: Pick<Os, 'tryLock'>): Promise<Set<string>> {
  const names = new Set<string>()
  for (const entry of await readdir(join(root, 'runs')).catch(() => [])) {
    const path = join(root, 'runs', entry)
    const file = await open(path, 'r').catch(() => undefined)
    if (file === undefined) continue
    try {
      if (os.tryLock(file.fd)) await unlink(path)
      else for (const name of (await readFile(path, 'utf8')).split('\n')) names.add(name)
    } catch {
      // Its run ended just now.
    } finally {
      await file.close()
    }
  }
  return names
}
