// The contents of an image with dynamically linked programs: each with the libraries that ldd(1) names, laid out as Debian
// does, `/lib` being a link to `/usr/lib`, so that files are not where the dynamic linker is told to look for them.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { imageArchive } from './image.ts'

export class Rootfs {
  readonly #files = new Map<string, Buffer>()
  readonly #links = new Map([
    ['/lib', 'usr/lib'],
    ['/lib64', 'usr/lib64'],
  ])

  /** Adds an executable or a library of this machine, with what it needs. */
  addProgram(source: string, path: string): this {
    this.#files.set(path, readFileSync(source))
    const libraries = execFileSync('ldd', [source], { encoding: 'utf8' }).matchAll(/(?:=> )?(\/\S+) \(0x/g)
    for (const [, library = ''] of libraries) this.#addLibrary(library)
    return this
  }

  addFile(path: string, content: Buffer): this {
    this.#files.set(path, content)
    return this
  }

  /** Adds all files below a directory of this machine, those aside whose path matches. */
  addTree(source: string, path: string, except: RegExp): this {
    for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
      const file = join(entry.parentPath, entry.name)
      if (entry.isFile() && !except.test(file))
        this.addFile(join(path, file.slice(source.length)), readFileSync(file))
    }
    return this
  }

  /** A library lies under its full version, and under the name by which it is wanted is a link. */
  #addLibrary(library: string): void {
    const real = realpathSync(library)
    const name = join(library.startsWith('/lib') ? '/usr' : '', library)
    const home = join(dirname(name), basename(real))
    this.#files.set(home, readFileSync(real))
    if (home !== name) this.#links.set(name, basename(real))
  }

  /** @returns A docker-archive. */
  image(reference: string): Promise<Buffer> {
    const programs = Object.fromEntries(this.#files)
    return imageArchive({ reference, programs, links: Object.fromEntries(this.#links), entrypoint: [] })
  }

  /** Writes it as a directory. */
  writeTo(directory: string): void {
    for (const [path, target] of this.#links) {
      mkdirSync(join(directory, dirname(path)), { recursive: true })
      symlinkSync(target, join(directory, path))
    }
    for (const [path, content] of this.#files) {
      mkdirSync(join(directory, dirname(path)), { recursive: true })
      writeFileSync(join(directory, path), content, { mode: 0o755 })
    }
  }
}
