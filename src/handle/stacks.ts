// Stacks as the manifest has them: functions are named from the files that were opened while the process was held, and
// threads that are in the same place (a pool that waits) are told once.
import { functionNames } from '../core/symbols.ts'
import type { Frame, FrameModule, StackTrace } from '../core/unwind/unwinder.ts'
import { type ManifestFrame, type ManifestStacks, manifestText } from '../store/manifest.ts'
import type { Examination } from './examine.ts'
import type { HeldFile, HeldFiles } from './held-files.ts'

/** A longer one is a template's: C++ has names of many kilobytes. */
const NAME_LENGTH_MAX = 512
/** For all files; what comes later has no names. A symbol table takes 2 to 30 ms. */
const NAMING_MS_MAX = 2000

/**
 * Names functions.
 * @param held - Files that frames point to; the others are of no interest.
 * @returns undefined where there are no stacks.
 */
export function describeStacks(
  examination: Examination | undefined,
  held: HeldFiles | undefined,
): ManifestStacks | undefined {
  if (examination === undefined || examination.stacks.length === 0) return undefined
  const { stacks, threadsOmitted } = examination
  const names = nameFunctions(stacks, held?.files ?? [])
  const modules = modulesIn(stacks)
  return {
    modules: [...modules.values()].map(({ path, buildId }) => ({
      path: manifestText(path).text,
      ...(buildId !== undefined && { buildId }),
    })),
    threads: groupsOf(stacks).map(({ tids, frames, end }) => ({
      tids,
      frames: frames.map(frame => manifestFrame(frame, [...modules.keys()], names)),
      end,
    })),
    threadsOmitted,
  }
}

/** Functions by `lookupAddress`. */
type Names = ReadonlyMap<number, string>

/** Where a name is looked up: a return address may be that of the function behind the one that called. */
const lookupAddress = ({ pc, isExact }: Frame): number => (isExact ? pc : pc - 1)

function nameFunctions(stacks: readonly StackTrace[], files: readonly HeldFile[]): Names {
  const deadline = performance.now() + NAMING_MS_MAX
  const names = new Map<number, string>()
  for (const { module, file } of files) {
    const frames = framesIn(stacks, module.start)
    if (file === undefined || frames.length === 0) continue
    const addresses = frames.map(frame => frame.module!.offset - (frame.isExact ? 0 : 1))
    const found = performance.now() < deadline ? functionNames(file, addresses) : []
    for (const [index, name] of found.entries())
      if (name)
        names.set(lookupAddress(frames[index]!), `${shortened(name.name)}+0x${name.offset.toString(16)}`)
  }
  return names
}

function framesIn(stacks: readonly StackTrace[], start: number): Frame[] {
  const frames = stacks.flatMap(stack => stack.frames.filter(({ module }) => module?.start === start))
  return [...new Map(frames.map(frame => [lookupAddress(frame), frame])).values()]
}

const shortened = (name: string): string =>
  name.length > NAME_LENGTH_MAX ? `${name.slice(0, NAME_LENGTH_MAX)}…` : name

/** By where they are mapped, in the order in which frames come to them. */
function modulesIn(stacks: readonly StackTrace[]): Map<number, FrameModule> {
  const modules = new Map<number, FrameModule>()
  for (const { frames } of stacks)
    for (const { module } of frames)
      if (module && !modules.has(module.start)) modules.set(module.start, module)
  return modules
}

interface Group extends Pick<StackTrace, 'frames' | 'end'> {
  readonly tids: number[]
}

/** The thread that crashed stays by itself, whoever else is in the same place. */
function groupsOf([crashed, ...others]: readonly StackTrace[]): Group[] {
  const groups = new Map<string, Group>()
  for (const { tid, frames, end } of others) {
    const place = frames.map(({ pc }) => pc).join()
    const group = groups.get(place) ?? { tids: [], frames, end }
    groups.set(place, group)
    group.tids.push(tid)
  }
  return crashed === undefined ? [] : [{ ...crashed, tids: [crashed.tid] }, ...groups.values()]
}

function manifestFrame(frame: Frame, modules: readonly number[], names: Names): ManifestFrame {
  const name = names.get(lookupAddress(frame))
  return {
    pc: frame.pc.toString(16),
    ...(frame.module && {
      module: modules.indexOf(frame.module.start),
      offset: frame.module.offset.toString(16),
    }),
    ...(name !== undefined && { function: name }),
  }
}
