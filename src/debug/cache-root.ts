// Where the debugger's files are kept between runs: $XDG_CACHE_HOME/corelift or ~/.cache/corelift. It holds memory of
// processes, so nobody else may look into it, or put anything there.
import { chmod, lstat, mkdir } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { CoreliftError } from '../errors.ts'
import { printable } from '../printable.ts'
import { GIB, parseSize, SIZE_WORDS } from '../units.ts'

/** Some dozens of crashes; a laptop has the room. */
const BYTES_MAX = 10 * GIB
export const LIMIT_VARIABLE = 'CORELIFT_CACHE_BYTES_MAX'
export const CACHE_PARTS = ['files', 'cores', 'sysroots', 'runs'] as const

type Env = Readonly<Record<string, string | undefined>>

export function cacheError(message: string, hint: string, cause?: unknown): CoreliftError {
  return new CoreliftError('E_OUTPUT', message, { hint, cause })
}

/** @throws CoreliftError `E_OUTPUT` where there is no home. */
export function cacheRoot(env: Env): string {
  // basedir-spec: relative paths are to be ignored.
  const parent = [env['XDG_CACHE_HOME'], env['HOME'] && join(env['HOME'], '.cache')].find(
    path => path !== undefined && isAbsolute(path),
  )
  if (parent === undefined)
    throw cacheError('no place for the cache', 'set XDG_CACHE_HOME or HOME to an absolute path')
  // Debuggers take paths as lines of text.
  if (/\p{Cc}/u.test(parent))
    throw cacheError(`${printable(parent)}: no place for the cache`, 'set XDG_CACHE_HOME to a plainer path')
  return join(parent, 'corelift')
}

/** @returns Bytes. @throws CoreliftError `E_CONFIG` */
export function cacheBytesMax(env: Env): number {
  const text = env[LIMIT_VARIABLE]
  if (text === undefined || text === '') return BYTES_MAX
  const bytes = parseSize(text)
  if (bytes !== undefined) return bytes
  throw new CoreliftError('E_CONFIG', `${LIMIT_VARIABLE}=${text} is no size`, { hint: SIZE_WORDS })
}

/** Makes the directory and its parts. @throws CoreliftError `E_OUTPUT`, also where it is not the user's own. */
export async function makeCacheRoot(root: string): Promise<void> {
  try {
    await mkdir(root, { recursive: true, mode: 0o700 })
    await checkOwn(root)
    for (const part of CACHE_PARTS) {
      await mkdir(join(root, part), { mode: 0o700 }).catch(ignoreExisting)
      await checkOwn(join(root, part))
    }
  } catch (cause) {
    if (cause instanceof CoreliftError) throw cause
    const { code, message } = cause as NodeJS.ErrnoException
    throw cacheError(`cannot make the cache ${root}: ${code ?? message}`, 'XDG_CACHE_HOME moves it', cause)
  }
}

/**
 * Refuses a directory that others own or may write to: what they put there would be opened by a debugger.
 * @returns Whether there is one.
 */
export async function checkOwn(path: string): Promise<boolean> {
  const stat = await lstat(path).catch(() => undefined)
  if (stat === undefined) return false
  const uid = process.geteuid?.() ?? stat.uid
  const problem = !stat.isDirectory()
    ? 'is no directory'
    : stat.uid !== uid
      ? `belongs to uid ${stat.uid}, not to ${uid}`
      : (stat.mode & 0o022) !== 0
        ? `can be written by others (mode ${(stat.mode & 0o7777).toString(8)})`
        : undefined
  if (problem !== undefined)
    throw cacheError(`the cache ${path} ${problem}`, 'remove it, or move the cache by XDG_CACHE_HOME')
  if ((stat.mode & 0o077) !== 0) await chmod(path, 0o700)
  return true
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
