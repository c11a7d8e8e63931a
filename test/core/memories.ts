// Memories for tests: that of a full core, and of the files that its process had mapped, which a core leaves out.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { HEAD_BYTES_MAX, scanHead, type CoreHead } from '../../src/core/head.ts'
import type { Memory } from '../../src/core/memory.ts'

const PT_LOAD = 1

interface Region {
  readonly start: number
  readonly end: number
  readonly fd: number
  readonly fileOffset: number
}

/** A core in a file, opened. */
export interface OpenCore {
  readonly head: CoreHead
  /** What the core holds, and what else its process could read: text, from the files that were mapped. */
  readonly memory: Memory
  close(): void
}

/** @throws Error for a file that is no core. */
export function openCore(path: string): OpenCore {
  const fd = openSync(path, 'r')
  const bytes = Buffer.alloc(Math.min(fstatSync(fd).size, HEAD_BYTES_MAX))
  readSync(fd, bytes, 0, bytes.length, 0)
  const scan = scanHead(bytes)
  if (scan.state !== 'core') throw new Error(`${path}: ${JSON.stringify(scan)}`)
  const { head } = scan
  const dumped: Region[] = []
  for (let index = 0; index < head.segments; index++) {
    const { type, vaddr, filesz, offset } = head.programHeader(index)
    if (type === PT_LOAD && filesz > 0)
      dumped.push({ start: Number(vaddr), end: Number(vaddr) + filesz, fd, fileOffset: offset })
  }
  const mapped: Region[] = []
  const fds = new Map<string, number>()
  for (const { path, start, end, fileOffset } of head.files()) {
    const name = Buffer.from(path).toString()
    try {
      const fd = fds.get(name) ?? openSync(name, 'r')
      fds.set(name, fd)
      mapped.push({ start: Number(start), end: Number(end), fd, fileOffset: Number(fileOffset) })
    } catch {
      // A file that is gone: what the core holds of it is there.
    }
  }
  const read = (address: number, into: Uint8Array): number => {
    let filled = 0
    while (filled < into.length) {
      const at = address + filled
      const within = ({ start, end }: Region): boolean => start <= at && at < end
      const region = dumped.find(within) ?? mapped.find(within)
      if (region === undefined) break
      const bytes = Math.min(into.length - filled, region.end - at)
      const got = readSync(region.fd, into, filled, bytes, region.fileOffset + at - region.start)
      if (got === 0) break
      filled += got
    }
    return filled
  }
  return {
    head,
    memory: { read },
    close: () => [fd, ...fds.values()].forEach(each => closeSync(each)),
  }
}
