// Sizes as people write them in the configuration.

const UNIT_BYTES = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const

/** What `parseSize` takes, for messages. */
export const SIZE_WORDS =
  'bytes, or a whole number with a unit such as "32GiB" (KiB MiB GiB TiB, KB MB GB TB)'

/**
 * Reads `32GiB`, `512 MiB`, `4096`. Units are spelled as here: a lone `G` would leave open which giga is meant.
 * @returns Bytes, or undefined when it is no size or above 2^53.
 */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,16}) ?([KMGT]i?B|B)?$/.exec(text)
  if (!match) return undefined
  const bytes = Number(match[1]) * UNIT_BYTES[(match[2] ?? 'B') as keyof typeof UNIT_BYTES]
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/**
 * Writes bytes so that `parseSize` gives them back: in the largest binary unit that divides them.
 * @returns `32GiB`, or `4097` when no unit does.
 */
export function formatSize(bytes: number): string {
  for (const unit of ['TiB', 'GiB', 'MiB', 'KiB'] as const) {
    if (bytes > 0 && bytes % UNIT_BYTES[unit] === 0) return `${bytes / UNIT_BYTES[unit]}${unit}`
  }
  return String(bytes)
}
