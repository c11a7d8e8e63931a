// Globs as corelift's configuration has them: `*` stands for any text, `?` for one character, all else for itself.

/**
 * Says whether a glob describes the whole of a text.
 *
 * No regular expression is built from it: text may be an annotation of 256 KiB that a workload wrote. After a mismatch
 * only the last `*` is made longer, for an earlier one has nothing to gain; time is at most the product of both lengths,
 * memory is none.
 */
export function matchesGlob(glob: string, text: string): boolean {
  let [g, t] = [0, 0]
  // Behind the last `*`, and where the text that it stands for ends so far.
  let [afterStar, starEnd] = [-1, 0]
  while (t < text.length) {
    if (glob[g] === '*') {
      ;[afterStar, starEnd] = [++g, t]
    } else if (g < glob.length && (glob[g] === '?' || glob[g] === text[t])) {
      t += glob[g++] === '?' ? unitsAt(text, t) : 1
    } else if (afterStar >= 0) {
      ;[g, t] = [afterStar, ++starEnd]
    } else {
      return false
    }
  }
  while (glob[g] === '*') g++
  return g === glob.length
}

/** A character beyond the first plane takes two units of a string. */
function unitsAt(text: string, at: number): number {
  return text.codePointAt(at)! > 0xffff ? 2 : 1
}
