import type { Sha256 } from '#protocol/sha256.ts'
import { chunkKey, type ChunkKey } from './chunk-key.ts'

const FIRST_CAPACITY = 1024
const MOST_FILLED = 0.6
/** What a narrow set leaves out of a key: 32 of its 48 bits stay. */
const NARROW_STEP = 2 ** 16

/**
 * Hashes by their first 48 bits, eight bytes each: ten million chunks take 200 MB less than as
 * strings. Two that begin alike are taken for one, so `has` may say yes too often, never no. A narrow
 * one takes half of that, and of a hundred thousand that it does not have, says yes to two for each
 * million that it has.
 */
export class HashSet {
  readonly #isNarrow: boolean
  #slots: Float64Array | Uint32Array
  #size = 0

  constructor({ isNarrow = false }: { isNarrow?: boolean } = {}) {
    this.#isNarrow = isNarrow
    this.#slots = this.#emptySlots(FIRST_CAPACITY)
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#slots.byteLength
  }

  add(hash: Sha256): void {
    this.addKey(chunkKey(hash))
  }

  addKey(key: ChunkKey): void {
    if (this.#size >= this.#slots.length * MOST_FILLED) this.#grow()
    this.#insert(this.#narrowed(key))
  }

  has(hash: Sha256): boolean {
    return this.hasKey(chunkKey(hash))
  }

  hasKey(key: ChunkKey): boolean {
    return this.#slots[this.#find(this.#narrowed(key))] !== 0
  }

  #narrowed(key: ChunkKey): number {
    return this.#isNarrow ? Math.floor((key - 1) / NARROW_STEP) || 1 : key
  }

  #insert(key: number): void {
    const slot = this.#find(key)
    if (this.#slots[slot] === 0) this.#size++
    this.#slots[slot] = key
  }

  /** The key's slot, or the empty one where it belongs. */
  #find(key: number): number {
    let slot = key % this.#slots.length
    while (this.#slots[slot] !== 0 && this.#slots[slot] !== key)
      slot = (slot + 1) % this.#slots.length
    return slot
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = this.#emptySlots(old.length * 2)
    this.#size = 0
    for (const key of old) if (key !== 0) this.#insert(key)
  }

  #emptySlots(capacity: number): Float64Array | Uint32Array {
    return this.#isNarrow ? new Uint32Array(capacity) : new Float64Array(capacity)
  }
}
