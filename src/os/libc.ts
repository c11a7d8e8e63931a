// The one place that touches libc: Os over bun:ffi. Only the compiled binary can run it, and its tests do.
import { dlopen, FFIType, ptr, read as readMemory } from 'bun:ffi'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { AGAIN, type Os } from './os.ts'

const { symbols: libc } = dlopen('libc.so.6', {
  __errno_location: { args: [], returns: FFIType.ptr },
  fcntl: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  flock: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  madvise: { args: [FFIType.u64, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  memfd_create: { args: [FFIType.ptr, FFIType.u32], returns: FFIType.i32 },
  pipe2: { args: [FFIType.ptr, FFIType.i32], returns: FFIType.i32 },
  poll: { args: [FFIType.ptr, FFIType.u64, FFIType.i32], returns: FFIType.i32 },
  read: { args: [FFIType.i32, FFIType.ptr, FFIType.u64], returns: FFIType.i64_fast },
  sendto: {
    args: [FFIType.i32, FFIType.ptr, FFIType.u64, FFIType.i32, FFIType.ptr, FFIType.u32],
    returns: FFIType.i64_fast,
  },
  socket: { args: [FFIType.i32, FFIType.i32, FFIType.i32], returns: FFIType.i32 },
  close: { args: [FFIType.i32], returns: FFIType.i32 },
  dup2: { args: [FFIType.i32, FFIType.i32], returns: FFIType.i32 },
})

// Linux's uapi headers, x86-64: fcntl.h, file.h, poll.h, socket.h, errno-base.h.
const F_DUPFD_CLOEXEC = 1030
const F_GETFL = 3
const F_SETFL = 4
const F_SETPIPE_SZ = 1031
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const LOCK_EX_NB = 2 | 4
const POLLIN = 1
const AF_UNIX = 1
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000
const MADV_DONTNEED = 4
const MFD_CLOEXEC = 1
const EINTR = 4
const EAGAIN = 11

/** A line of /proc/self/maps: `start-end r-xp offset device inode /path`. The addon's memfd has no other copy. */
const CODE_MAPPING = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \d+ +\/(?!memfd:).*$/gm

const errno = (): number => readMemory.i32(libc.__errno_location()!, 0)
const cString = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`)

/**
 * An anonymous file in memory: memfd_create(2).
 * @returns Its descriptor, or -1.
 */
export function memfdCreate(name: string): number {
  return libc.memfd_create(ptr(cString(name)), MFD_CLOEXEC)
}

const failure = (call: string): Error => new Error(`${call}: errno ${errno()}`)

export const libcOs: Os = {
  tryLock: fd => libc.flock(fd, LOCK_EX_NB) === 0,

  takeStdin(pipeBytes) {
    const fd = libc.fcntl(0, F_DUPFD_CLOEXEC, 3)
    if (fd < 0) throw failure('fcntl')
    const none = openSync('/dev/null', 'r')
    libc.dup2(none, 0)
    closeSync(none)
    libc.fcntl(fd, F_SETPIPE_SZ, pipeBytes)
    libc.fcntl(fd, F_SETFL, libc.fcntl(fd, F_GETFL, 0) | O_NONBLOCK)
    return fd
  },

  pipe(bytes) {
    const ends = new Int32Array(2)
    if (libc.pipe2(ptr(ends), O_CLOEXEC) < 0) throw failure('pipe2')
    const [readEnd, writeEnd] = ends as unknown as [number, number]
    libc.fcntl(writeEnd, F_SETPIPE_SZ, bytes)
    return { readEnd, writeEnd }
  },

  read(fd, into) {
    for (;;) {
      const bytes = Number(libc.read(fd, ptr(into), into.length))
      if (bytes >= 0) return bytes
      const code = errno()
      if (code === EAGAIN) return AGAIN
      if (code !== EINTR) throw failure('read')
    }
  },

  pollInput(fd, milliseconds) {
    const pollfd = new Int32Array([fd, POLLIN]) // struct pollfd: int fd, short events, short revents
    return libc.poll(ptr(pollfd), 1, milliseconds) > 0
  },

  dropUnused() {
    Bun.gc(true)
    // Only what is executable and private to a file: such pages are never written, so dropping them loses nothing.
    const mappings = readFileSync('/proc/self/maps', 'latin1').matchAll(CODE_MAPPING)
    for (const [, start, end] of mappings) {
      const from = BigInt(`0x${start}`)
      libc.madvise(from, BigInt(`0x${end}`) - from, MADV_DONTNEED)
    }
  },

  sendDatagram(socketPath, payload) {
    const address = new Uint8Array(110) // struct sockaddr_un
    new DataView(address.buffer).setUint16(0, AF_UNIX, true)
    const path = cString(socketPath)
    if (path.length > address.length - 2) return false
    address.set(path, 2)
    const fd = libc.socket(AF_UNIX, SOCK_DGRAM_CLOEXEC, 0)
    if (fd < 0) return false
    const sent = libc.sendto(
      fd,
      ptr(payload),
      payload.length,
      MSG_DONTWAIT_NOSIGNAL,
      ptr(address),
      2 + path.length,
    )
    libc.close(fd)
    return Number(sent) === payload.length
  },
}
