// What a measurement is to the bench, and the arithmetic that all of them share: ratios of interleaved runs, because
// absolute times say more about the machine and its other load than about the program.

/** One line of the table. */
export interface Row {
  readonly quantity: string
  /** As a person would write it: `≤ 96 MiB`. Empty for lines that only inform. */
  readonly target: string
  readonly measured: string
  /** Undefined where there is no target. */
  readonly met: boolean | undefined
  /** What the number was made of, printed below the table. */
  readonly note?: string
}

export interface Measurement {
  /** For the command line: `npm run bench -- NAME…`. */
  readonly name: string
  /** The rows that are missing when it cannot run. */
  readonly quantities: readonly string[]
  /** @returns Why it cannot run on this machine, or undefined when it can. */
  whyNot(): string | undefined
  measure(): Promise<Row[]>
}

/** Odd, so that a median is one of the runs; five outvote two that something else disturbed. */
export const ROUNDS = 5

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * Runs several things in turns, so that whatever slows the machine for a while slows them all.
 * @returns The results of each, in the order of the rounds.
 */
export async function interleaved<K extends string, T>(
  runs: Readonly<Record<K, () => Promise<T>>>,
  rounds = ROUNDS,
): Promise<Record<K, T[]>> {
  const entries = Object.entries(runs) as [K, () => Promise<T>][]
  const results = Object.fromEntries(entries.map(([name]) => [name, [] as T[]])) as Record<K, T[]>
  for (let round = 0; round < rounds; round++) {
    for (const [name, run] of entries) results[name].push(await run())
  }
  return results
}

/** Median of the rounds' ratios: each pair was measured one after the other. */
export function medianRatio(numerators: readonly number[], denominators: readonly number[]): number {
  return median(numerators.map((value, round) => value / denominators[round]!))
}

/** `1.23 1.31 1.19` */
export function listed(values: readonly number[], digits: number): string {
  return values.map(value => value.toFixed(digits)).join(' ')
}
