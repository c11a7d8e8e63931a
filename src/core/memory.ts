// A process's memory as the parts of this folder see it: at crash time /proc/<pid>/mem, in tests a core.

/**
 * x86-64 has addresses of user space below 2^47, or 2^56 for those who ask mmap(2) for them. Below 2^53 a number holds
 * them exactly; what is beyond is nobody's to read (but the vsyscall page, which is the kernel's).
 */
export const ADDRESS_MAX = 2 ** 53

/** The smallest page; what is read, kept and dropped is cut at its multiples. */
export const PAGE_BYTES = 4096

export interface Memory {
  /**
   * Reads from an address on. Never throws.
   * @returns Bytes read: fewer than asked for where what follows cannot be read, 0 where nothing can.
   */
  read(address: number, into: Uint8Array): number
}

/** @returns The 64-bit word at an address, undefined where it cannot be read. */
export function readWord(memory: Memory, address: number): bigint | undefined {
  const word = new Uint8Array(8)
  return memory.read(address, word) === 8 ? new DataView(word.buffer).getBigUint64(0, true) : undefined
}

/** @returns The pointer at an address, undefined where it cannot be read or is none. */
export function readPointer(memory: Memory, address: number): number | undefined {
  const word = readWord(memory, address)
  return word !== undefined && word < ADDRESS_MAX ? Number(word) : undefined
}
