import type { Sha256 } from '#protocol/sha256.ts'

/** What an image of 1 TiB of content needs; 40 MB. Later content is not looked for elsewhere. */
const MAX_CHUNKS = 1_048_576
const FIRST_SLOTS = 4096
const NOWHERE = -1
/** A place is kept with one bit beside it: whether its content stays. */
const STAYS = 1

export interface Source {
  /** Number of a chunk of the disk. */
  place: number
  /** Its content is what the image has there: it will not be written over. */
  stays: boolean
}

/**
 * Which contents the image wants, and where on the disk each was seen. Kept in typed arrays: a Map
 * of hashes would take a gigabyte for what takes 40 MB here. Only 64 bits of a hash are kept, which
 * is enough to find by; whoever takes a chunk from a source hashes it again.
 */
export interface ChunkIndex {
  /** The image wants this content. */
  add(hash: Sha256): void
  wants(hash: Sha256): boolean
  /** The disk holds it there. Nothing happens if it is not wanted; places that stay win. */
  found(hash: Sha256, source: Source): void
  source(hash: Sha256): Source | undefined
}

export function createChunkIndex(): ChunkIndex {
  let slots = createSlots(FIRST_SLOTS)
  let count = 0

  function add(hash: Sha256): void {
    if (count >= MAX_CHUNKS) return
    const [high, low] = keyOf(hash)
    if (insert(slots, high, low, NOWHERE)) count++
    if (count * 2 > slots.places.length) slots = grown(slots)
  }

  return {
    add,
    wants: (hash) => find(slots, hash) !== undefined,
    found(hash, { place, stays }) {
      const slot = find(slots, hash)
      if (slot === undefined) return
      const known = slots.places[slot]!
      if (known === NOWHERE || (stays && (known & STAYS) === 0))
        slots.places[slot] = place * 2 + (stays ? STAYS : 0)
    },
    source(hash) {
      const slot = find(slots, hash)
      const known = slot === undefined ? NOWHERE : slots.places[slot]!
      if (known === NOWHERE) return undefined
      return { place: Math.floor(known / 2), stays: (known & STAYS) !== 0 }
    },
  }
}

interface Slots {
  /** Two for each slot: the first 64 bits of the hash. Both 0: the slot is free. */
  keys: Uint32Array
  places: Int32Array
}

function createSlots(count: number): Slots {
  return { keys: new Uint32Array(count * 2), places: new Int32Array(count).fill(NOWHERE) }
}

function keyOf(hash: Sha256): [high: number, low: number] {
  return [Number.parseInt(hash.slice(0, 8), 16), Number.parseInt(hash.slice(8, 16), 16)]
}

/** The slot of the key, or the free one where it would be. */
function slotOf({ keys, places }: Slots, high: number, low: number): number {
  const mask = places.length - 1
  let slot = high & mask
  while ((keys[slot * 2] !== high || keys[slot * 2 + 1] !== low) && !isFree(keys, slot))
    slot = (slot + 1) & mask
  return slot
}

function isFree(keys: Uint32Array, slot: number): boolean {
  return keys[slot * 2] === 0 && keys[slot * 2 + 1] === 0
}

function find(slots: Slots, hash: Sha256): number | undefined {
  const slot = slotOf(slots, ...keyOf(hash))
  return isFree(slots.keys, slot) ? undefined : slot
}

function insert(slots: Slots, high: number, low: number, place: number): boolean {
  const slot = slotOf(slots, high, low)
  if (!isFree(slots.keys, slot)) return false
  slots.keys[slot * 2] = high
  slots.keys[slot * 2 + 1] = low
  slots.places[slot] = place
  return true
}

function grown(old: Slots): Slots {
  const slots = createSlots(old.places.length * 2)
  for (let slot = 0; slot < old.places.length; slot++) {
    if (isFree(old.keys, slot)) continue
    insert(slots, old.keys[slot * 2]!, old.keys[slot * 2 + 1]!, old.places[slot]!)
  }
  return slots
}
