// Stack traces for people: a section for each group of threads that are in the same place, the crashed one first.

import { basename } from 'node:path'
import type { ManifestFrame, ManifestStacks } from '../store/manifest.ts'
import type { Demangle } from './demangle.ts'
import type { Field } from './render-fields.ts'

/** Nobody reads on; `--json` has all. */
const THREADS_SHOWN_MAX = 8
const TIDS_SHOWN_MAX = 8

/** @returns Sections: frames from the innermost, as gdb numbers them. */
export function stackSections(
  { threads, modules, threadsOmitted }: ManifestStacks,
  demangle: Demangle,
): Field[][] {
  const sections = threads
    .slice(0, THREADS_SHOWN_MAX)
    .map(({ tids, frames, end }, index): Field[] => [
      [index === 0 ? 'crashed' : tids.length > 1 ? 'threads' : 'thread', renderTids(tids)],
      ...frames.map((frame, number): Field => [`#${number}`, renderFrame(frame, modules, demangle)]),
      ['', end === 'outermost' ? undefined : `(the walk ended here: ${end})`],
    ])
  const hidden = threads.slice(THREADS_SHOWN_MAX).reduce((sum, { tids }) => sum + tids.length, 0)
  const more = [
    hidden > 0 ? `${hidden} more threads: corelift info --json` : undefined,
    threadsOmitted > 0 ? `${threadsOmitted} threads were not unwound` : undefined,
  ].filter(text => text !== undefined)
  return more.length === 0 ? sections : [...sections, [['threads', more.join('; ')]]]
}

export function renderTids(tids: readonly number[]): string {
  const shown = tids.slice(0, TIDS_SHOWN_MAX).join(', ')
  return tids.length > TIDS_SHOWN_MAX ? `${shown} and ${tids.length - TIDS_SHOWN_MAX} more` : shown
}

/** A frame as people read it. */
export interface FrameText {
  /** Demangled. */
  readonly name?: string
  /** From the function's beginning: `+0x5`. */
  readonly distance: string
  /** `crasher+0x1234`; the address for code that is of no file. */
  readonly place: string
}

export function frameText(
  frame: ManifestFrame,
  modules: ManifestStacks['modules'],
  demangle: Demangle,
): FrameText {
  const module = frame.module === undefined ? undefined : modules[frame.module]
  const place = module === undefined ? `0x${frame.pc}` : `${basename(module.path)}+0x${frame.offset}`
  if (frame.function === undefined) return { distance: '', place }
  const [, name = frame.function, distance = ''] = /^(.*)(\+0x[0-9a-f]+)$/s.exec(frame.function) ?? []
  return { name: demangle(name), distance, place }
}

/** `crash_here+0x5 in crasher+0x1234`. */
function renderFrame(frame: ManifestFrame, modules: ManifestStacks['modules'], demangle: Demangle): string {
  const { name, distance, place } = frameText(frame, modules, demangle)
  return name === undefined ? place : `${name}${distance} in ${place}`
}
