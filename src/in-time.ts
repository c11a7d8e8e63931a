// Work that is waited for as long as that makes sense; it goes on by itself afterwards.

/** How long: until so many milliseconds are over, or something else has happened, whichever is first. */
export interface TimeLimit {
  readonly ms?: number
  readonly over?: Promise<unknown>
}

export type Answer<T> =
  | { readonly state: 'done'; readonly value: T }
  | { readonly state: 'failed'; readonly error: unknown }
  | { readonly state: 'late' }

const NEVER = new Promise<never>(() => undefined)
const LATE = { state: 'late' } as const

/** Never throws; what fails after its time fails unseen. */
export async function inTime<T>(work: Promise<T>, { ms, over = NEVER }: TimeLimit): Promise<Answer<T>> {
  let timer: NodeJS.Timeout | undefined
  const timeUp = new Promise<void>(resolve => {
    if (ms !== undefined) timer = setTimeout(resolve, ms)
  })
  try {
    return await Promise.race([
      work.then(
        (value): Answer<T> => ({ state: 'done', value }),
        (error: unknown): Answer<T> => ({ state: 'failed', error }),
      ),
      timeUp.then((): Answer<T> => LATE),
      over.then((): Answer<T> => LATE),
    ])
  } finally {
    clearTimeout(timer)
  }
}
