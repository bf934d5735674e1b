import type { Sha256 } from '#protocol/sha256.ts'

/** Twelve digits, 48 bits, fit a number exactly. */
const PREFIX_DIGITS = 12
const FIRST_CAPACITY = 1024
const MOST_FILLED = 0.6

/**
 * Hashes by their first 48 bits, eight bytes each: ten million chunks take 200 MB less than as
 * strings. Two that begin alike are taken for one, so `has` may say yes too often, never no.
 */
export class HashSet {
  #slots = new Float64Array(FIRST_CAPACITY)
  #size = 0

  add(hash: Sha256): void {
    if (this.#size >= this.#slots.length * MOST_FILLED) this.#grow()
    this.#insert(keyOf(hash))
  }

  has(hash: Sha256): boolean {
    return this.#slots[this.#find(keyOf(hash))] !== 0
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
    this.#slots = new Float64Array(old.length * 2)
    this.#size = 0
    for (const key of old) if (key !== 0) this.#insert(key)
  }
}

/** Never 0, which marks an empty slot. */
function keyOf(hash: Sha256): number {
  return Number.parseInt(hash.slice(0, PREFIX_DIGITS), 16) + 1
}
