import type { Codec } from '../store/chunk-store.ts'
import type { ChunkKey } from './chunk-key.ts'

const FIRST_CAPACITY = 1024
const MOST_FILLED = 0.6
const SHARED = -1

export interface ShareCount {
  /** Stored bytes of all its chunks, each once. */
  storedBytes: number
  /** Of those that nothing else that was counted has. */
  uniqueBytes: number
}

/** There is no room for all these chunks at once. */
export class TooManyChunksError extends Error {
  override name = 'TooManyChunksError'
}

/** Who shares which chunks, at twenty bytes a slot for a chunk. */
export class ShareCounter {
  #slots = emptySlots(FIRST_CAPACITY)
  #used = 0
  #counts: ShareCount[] = []
  readonly #maxChunks: number

  /** Stored bytes of everything, each chunk once. */
  storedBytes = 0

  /** The same by codec, and how many chunks. */
  readonly codecs: Record<Codec, { chunks: number; storedBytes: number }> = {
    gzip: { chunks: 0, storedBytes: 0 },
    zstd: { chunks: 0, storedBytes: 0 },
  }

  constructor(maxChunks = Number.POSITIVE_INFINITY) {
    this.#maxChunks = maxChunks
  }

  get counts(): readonly ShareCount[] {
    return this.#counts
  }

  /** What is added from here on belongs to the next one. */
  begin(): void {
    this.#counts.push({ storedBytes: 0, uniqueBytes: 0 })
  }

  /** Throws TooManyChunksError. */
  add(chunk: ChunkKey, storedBytes: number, codec: Codec): void {
    if (this.#used >= this.#slots.keys.length * MOST_FILLED) this.#grow()
    const { keys, owners, latest, sizes } = this.#slots
    const index = this.#counts.length - 1
    const count = this.#counts[index]!
    const slot = findSlot(keys, chunk)
    if (keys[slot] === 0) {
      if (this.#used === this.#maxChunks) throw new TooManyChunksError()
      this.#used++
      keys[slot] = chunk
      owners[slot] = index
      sizes[slot] = storedBytes
      this.storedBytes += storedBytes
      this.codecs[codec].chunks++
      this.codecs[codec].storedBytes += storedBytes
      count.uniqueBytes += storedBytes
    } else {
      if (latest[slot] === index) return
      const owner = owners[slot]!
      if (owner !== SHARED) this.#counts[owner]!.uniqueBytes -= sizes[slot]!
      owners[slot] = SHARED
    }
    latest[slot] = index
    count.storedBytes += sizes[slot]!
  }

  #grow(): void {
    const old = this.#slots
    this.#slots = emptySlots(old.keys.length * 2)
    const { keys, owners, latest, sizes } = this.#slots
    for (let from = 0; from < old.keys.length; from++) {
      const key = old.keys[from]!
      if (key === 0) continue
      const slot = findSlot(keys, key)
      keys[slot] = key
      owners[slot] = old.owners[from]!
      latest[slot] = old.latest[from]!
      sizes[slot] = old.sizes[from]!
    }
  }
}

function emptySlots(capacity: number) {
  return {
    keys: new Float64Array(capacity),
    owners: new Int32Array(capacity),
    latest: new Int32Array(capacity),
    sizes: new Uint32Array(capacity),
  }
}

/** The key's slot, or the empty one where it belongs. */
function findSlot(keys: Float64Array, key: number): number {
  let slot = key % keys.length
  while (keys[slot] !== 0 && keys[slot] !== key) slot = (slot + 1) % keys.length
  return slot
}
