// The signature of a crash: the same for crashes at the same place of the same program, on whatever node, wherever its
// code was mapped.
import type { Frame, FrameModule } from './unwind/unwinder.ts'

const FRAMES = 5
/** Enough to tell builds apart. */
const BUILD_ID_DIGITS = 12
const NAME_LENGTH_MAX = 64
const UNKNOWN = '?'

/**
 * `SIGSEGV libc.so.6[93ac61ec5a8e]+0x167ad8 ‹ _ctypes.so[0ba798d7e2fe]+0x8608`: the signal, then the five innermost
 * frames as module, build-id and offset. `?` stands for code of no module, which has another address in each process;
 * several in a row are one, since how many frames a JIT compiler makes of the same code depends on when it did.
 * @param signalName - `SIGSEGV`.
 * @param frames - Of the thread that crashed.
 * @returns Printable, on one line, of bounded length: paths are the workload's own.
 */
export function signatureOf(signalName: string, frames: readonly Frame[]): string {
  const places = frames
    .map(({ module }) => (module ? placeIn(module) : UNKNOWN))
    .filter((place, index, all) => place !== UNKNOWN || all[index - 1] !== UNKNOWN)
  return [signalName, places.slice(0, FRAMES).join(' ‹ ')].join(' ').trimEnd()
}

function placeIn({ path, buildId, offset }: FrameModule): string {
  const build = buildId === undefined ? '' : `[${buildId.slice(0, BUILD_ID_DIGITS)}]`
  return `${fileName(path)}${build}+0x${offset.toString(16)}`
}

/** Without directories, which differ between images, and what the kernel appends when the file is gone: d_path(). */
function fileName(path: Uint8Array): string {
  const text = Buffer.from(path).toString('latin1')
  const name = text.slice(text.lastIndexOf('/') + 1).replace(/ \(deleted\)$/, '')
  return name.slice(0, NAME_LENGTH_MAX).replace(/[^\w.+~@=,:-]/g, '_')
}
