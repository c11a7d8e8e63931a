// Sizes and rates as people write them: in the configuration, and in a pod's annotations.

export const KIB = 1024
export const MIB = 1024 * KIB
export const GIB = 1024 * MIB
export const TIB = 1024 * GIB

const UNIT_BYTES = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: KIB,
  MiB: MIB,
  GiB: GIB,
  TiB: TIB,
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
 * Reads what `parseSize` does, and Kubernetes' quantities of bytes (`512Mi`, `1G`, `64k`), in which a lone letter is a
 * power of 1000. No fractions, exponents or milli-bytes.
 * @returns Bytes, or undefined when it is no size or above 2^53.
 */
export function parseQuantity(text: string): number | undefined {
  const isQuantity = /^\d{1,16}(?:[KMGT]i|[kMGT])$/.test(text)
  return parseSize(isQuantity ? `${text.replace('k', 'K')}B` : text)
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

/** So many cores in so many seconds. */
export interface Rate {
  readonly cores: number
  readonly seconds: number
}

const DURATION_SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const

/** What `parseDuration` takes, for messages. */
export const DURATION_WORDS = 'a whole number with a unit such as "7d" (s, m, h, d)'

/** Reads `7d`, `12h`, `90s`. @returns Seconds, or undefined when it is no duration. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,8}) ?([smhd])$/.exec(text)
  if (!match) return undefined
  return Number(match[1]) * DURATION_SECONDS[match[2] as keyof typeof DURATION_SECONDS]
}

/** Writes seconds so that `parseDuration` gives them back: in the largest unit that divides them. */
export function formatDuration(seconds: number): string {
  const unit = (['d', 'h', 'm'] as const).find(unit => seconds > 0 && seconds % DURATION_SECONDS[unit] === 0)
  return unit === undefined ? `${seconds}s` : `${seconds / DURATION_SECONDS[unit]}${unit}`
}

const PERIOD_SECONDS = { minute: 60, hour: 3600, day: 86_400 } as const

/** What `parseRate` takes, for messages. */
export const RATE_WORDS = 'a whole number above 0 per minute, hour or day such as "5/hour"'

/** Reads `5/hour`. @returns undefined when it is no rate, or none that lets anything through. */
export function parseRate(text: string): Rate | undefined {
  const match = /^([1-9]\d{0,5})\/(minute|hour|day)$/.exec(text)
  if (!match) return undefined
  return { cores: Number(match[1]), seconds: PERIOD_SECONDS[match[2] as keyof typeof PERIOD_SECONDS] }
}

/** Writes a rate so that `parseRate` gives it back. @returns `5/hour`, or `5/90 s` for one that it never gave. */
export function formatRate({ cores, seconds }: Rate): string {
  const named = Object.entries(PERIOD_SECONDS).find(([, period]) => period === seconds)
  return `${cores}/${named?.[0] ?? `${seconds} s`}`
}
