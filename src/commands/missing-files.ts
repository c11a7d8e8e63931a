// What people are told of executables and libraries that a debugger has to do without.
import { basename } from 'node:path'
import type { FetchedFile } from '../debug/fetch.ts'
import type { SysrootPlan } from '../debug/sysroot-plan.ts'
import type { Manifest } from '../store/manifest.ts'

const NAMED_MAX = 4

/** @returns Lines: one for each file that is not what it should be, one for all that are not there. */
export function missingFiles(
  manifest: Manifest | undefined,
  plan: SysrootPlan,
  fetched: readonly FetchedFile[],
): string[] {
  if (manifest?.files === undefined)
    return ['the crash has no list of its executable and libraries: the debugger will know few names']
  const corrupt = fetched.filter(({ state }) => state === 'corrupt')
  const absent = [
    ...plan.missing.map(({ path }) => path),
    ...fetched.filter(({ state }) => state === 'absent').map(({ file }) => file.path),
  ]
  const lines = corrupt.map(({ file, detail }) => `${file.path}: done without it: ${detail}`)
  if (absent.length > 0) lines.push(absentLine(manifest, plan, absent))
  return lines
}

function absentLine(manifest: Manifest, plan: SysrootPlan, absent: readonly string[]): string {
  const total = plan.files.length + plan.missing.length
  const inFrames = new Set(modulesInFrames(manifest))
  const isProgram = (path: string): boolean => path === plan.executable || path === programOf(manifest)
  const weight = (path: string): number => (isProgram(path) ? 0 : inFrames.has(basename(path)) ? 1 : 2)
  const named = absent.toSorted((left, right) => weight(left) - weight(right)).map(path => basename(path))
  const more = named.length > NAMED_MAX ? ` and ${named.length - NAMED_MAX} more` : ''
  const meaning = absent.some(isProgram)
    ? 'without the program itself few libraries are found'
    : 'frames in them have no names, and stacks may end there'
  return `${absent.length} of ${total} files are not in the store (yet): ${named.slice(0, NAMED_MAX).join(', ')}${more}; ${meaning}`
}

function programOf({ files }: Manifest): string | undefined {
  return files?.executable === undefined ? undefined : files.mapped[files.executable]?.path
}

function modulesInFrames({ stacks }: Manifest): string[] {
  return (stacks?.modules ?? []).map(({ path }) => basename(path))
}
