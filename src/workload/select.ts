// Which labels and annotations are kept: the configured names, in which * stands for any text.
import { matchesGlob } from '../glob.ts'

/** @returns Those whose name fits one of the globs. */
export function selectNames(
  values: Readonly<Record<string, string>>,
  globs: readonly string[],
): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(values).filter(([name]) => globs.some(glob => matchesGlob(glob, name))),
  )
}
