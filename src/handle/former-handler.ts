// The handler that was there before corelift: what core_pattern was when `corelift install` came, and whether the program
// that it names may still be run as root.
import { lstatSync, readlinkSync, realpathSync, type Stats } from 'node:fs'
import path from 'node:path'
import { patternWords } from '../kernel/expand-pattern.ts'
import { readInstallState } from '../node/install-state.ts'
import { printable } from '../printable.ts'

export type FormerHandler =
  | {
      readonly state: 'found'
      /** As the pattern names it: the program's own name for itself. */
      readonly program: string
      /** Absolute, without links: what is executed is what was checked. */
      readonly file: string
      /** Of the pattern, specifiers not expanded. */
      readonly args: readonly string[]
    }
  /** @param why - In words, printable. */
  | { readonly state: 'none'; readonly why: string }

/** Never throws. */
export function findFormerHandler(): FormerHandler {
  try {
    return formerHandlerOf(readInstallState()?.before.sysctls['kernel.core_pattern'])
  } catch (error) {
    return none((error as Error).message)
  }
}

/**
 * @param pattern - kernel.core_pattern as it was.
 * @param self - This program's file: a crash that came back would go round for ever.
 */
export function formerHandlerOf(
  pattern: string | undefined,
  self: string = readlinkSync('/proc/self/exe'),
): FormerHandler {
  if (pattern === undefined) return none('no installation has noted what kernel.core_pattern was before')
  const [program, ...args] = patternWords(pattern) ?? []
  if (program === undefined) return none(`kernel.core_pattern was ${pattern} before, which names no program`)
  try {
    const file = realpathSync(path.resolve('/', program))
    const problem = file === self ? 'is corelift itself' : programProblem(file)
    return problem === undefined ? { state: 'found', program, file, args } : none(`${program} ${problem}`)
  } catch (error) {
    return none(`${program}: ${(error as NodeJS.ErrnoException).code}`)
  }
}

const none = (why: string): FormerHandler => ({ state: 'none', why: printable(why) })

/**
 * Why a program must not be run as root: somebody else could have put it there.
 * @param file - Absolute, without links.
 */
function programProblem(file: string): string | undefined {
  const stats = lstatSync(file)
  if (!stats.isFile()) return 'is no file'
  if ((stats.mode & 0o111) === 0) return 'is not executable'
  for (let at = file; ; at = path.dirname(at)) {
    const problem = ownershipProblem(lstatSync(at))
    if (problem !== undefined) return at === file ? problem : `is in ${at}, which ${problem}`
    if (at === '/') return undefined
  }
}

function ownershipProblem({ uid, mode }: Stats): string | undefined {
  if (uid !== 0) return `belongs to uid ${uid}, not to root`
  return (mode & 0o022) === 0 ? undefined : `can be written by others (mode ${(mode & 0o7777).toString(8)})`
}
