/**
 * Calls a function for each item, several at once, and yields the results in the items' order.
 * @param inFlightMax - Calls under way or waiting to be yielded: it bounds memory too. A consumer that stops early
 *   starts no more of them.
 */
export async function* mapConcurrent<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  inFlightMax: number,
  call: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
  const inFlight: Promise<Result>[] = []
  for await (const item of items) {
    const result = call(item)
    // It is awaited in its turn; until then its failure must not count as unhandled, which would end the process.
    result.catch(() => undefined)
    inFlight.push(result)
    const oldest = inFlight.length >= inFlightMax ? inFlight.shift() : undefined
    if (oldest !== undefined) yield await oldest
  }
  for (const result of inFlight) yield await result
}
