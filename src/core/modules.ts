// Executables and libraries of a process: mappings of the same file that belong together, from NT_FILE or /proc/<pid>/maps.
import { ADDRESS_MAX } from './memory.ts'
import type { MappedFile } from './notes.ts'

export interface Mapping {
  readonly start: number
  readonly end: number
  /** Bytes into the file. */
  readonly fileOffset: number
}

/** A file that is mapped from its beginning on; most are ELF images. */
export interface Module {
  /** As the kernel names it: no encoding may be assumed. */
  readonly path: Uint8Array
  /** Where the file's first byte is. */
  readonly start: number
  readonly end: number
  /** By address. */
  readonly mappings: readonly Mapping[]
}

/**
 * Groups mappings: one of a file's beginning starts a module, those of the same file that follow belong to it.
 * @param files - By address, as the kernel writes them. Mappings of a file that begin elsewhere are left out.
 */
export function modulesOf(files: Iterable<MappedFile>): Module[] {
  const modules: { path: Uint8Array; start: number; end: number; mappings: Mapping[] }[] = []
  for (const { path, start, end, fileOffset } of files) {
    if (end > ADDRESS_MAX || fileOffset > ADDRESS_MAX || end <= start) continue
    const mapping = { start: Number(start), end: Number(end), fileOffset: Number(fileOffset) }
    const last = modules.at(-1)
    if (last !== undefined && mapping.fileOffset > 0 && Buffer.from(last.path).equals(path)) {
      last.mappings.push(mapping)
      last.end = mapping.end
    } else if (mapping.fileOffset === 0) {
      modules.push({ path, start: mapping.start, end: mapping.end, mappings: [mapping] })
    }
  }
  return modules
}

/** @param modules - By address. @returns The one that an address is in. */
export function moduleAt(modules: readonly Module[], address: number): Module | undefined {
  let [low, high] = [0, modules.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (modules[middle]!.end <= address) low = middle + 1
    else high = middle
  }
  const module = modules[low]
  return module !== undefined && module.start <= address ? module : undefined
}
