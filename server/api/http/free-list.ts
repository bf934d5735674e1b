/** What is kept for later; more than this at once are made and forgotten again. */
const MAX_KEPT = 32

export interface FreeList<Item> {
  take(): Item
  give(item: Item): void
}

/**
 * Buffers that are used again: allocating a new one for each request makes V8 collect garbage over
 * the whole heap every few dozen requests.
 */
export function createFreeList<Item>(make: () => Item): FreeList<Item> {
  const free: Item[] = []
  return {
    take: () => free.pop() ?? make(),
    give(item) {
      if (free.length < MAX_KEPT) free.push(item)
    },
  }
}
