// What the program needs of libc and of the kernel beyond the runtime's own file system calls: an interface, so that
// everything above it runs under Node's tests too. libc.ts is the implementation, in the compiled binary only.

/** A read that found nothing to read yet. */
export const AGAIN = -1

export interface Os {
  /**
   * Takes an exclusive flock(2) without waiting. The kernel releases it when the process dies.
   * @returns Whether it was free.
   */
  tryLock(fd: number): boolean
  /**
   * Moves standard input to a descriptor above 2, non-blocking, with /dev/null in its place: closing it then frees no
   * number that the runtime takes for its own stdin. A pipe is enlarged (F_SETPIPE_SZ; granted or not).
   * @returns The descriptor, close-on-exec.
   */
  takeStdin(pipeBytes: number): number
  /**
   * pipe2(2), enlarged as takeStdin's.
   * @returns Its ends, both blocking and close-on-exec.
   */
  pipe(bytes: number): { readonly readEnd: number; readonly writeEnd: number }
  /** read(2). @returns Bytes read, 0 at the end, AGAIN when nothing is there yet. */
  read(fd: number, into: Uint8Array): number
  /** poll(2) for input. @returns Whether something (or the end) can be read within the time. */
  pollInput(fd: number, milliseconds: number): boolean
  /**
   * Takes out of resident memory what streaming never needs: garbage, and the pages of this program's code, with
   * madvise(2); those that are used again come back from the page cache. Loading touches some 20 MiB of code.
   */
  dropUnused(): void
  /** Sends one datagram to an AF_UNIX socket (journald's native protocol). @returns Whether it was taken. */
  sendDatagram(socketPath: string, payload: Uint8Array): boolean
}
