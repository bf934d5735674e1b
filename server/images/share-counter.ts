import { HASH_BYTES } from '#protocol/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Codec } from './chunk-store.ts'

/** Twelve digits, 48 bits, fit a number exactly: two chunks that begin alike are as good as never. */
const PREFIX_DIGITS = 12
const FIRST_CAPACITY = 1024
const MOST_FILLED = 0.6
const SHARED = -1

export interface ShareCount {
  /** Stored bytes of all its chunks, each once. */
  storedBytes: number
  /** Of those that nothing else that was counted has. */
  uniqueBytes: number
}

/** Who shares which chunks, at twenty bytes a chunk: a thousand images of ten thousand chunks fit. */
export class ShareCounter {
  #slots = emptySlots(FIRST_CAPACITY)
  #used = 0
  #counts: ShareCount[] = []

  /** Stored bytes of everything, each chunk once. */
  storedBytes = 0

  /** The same by codec, and how many chunks. */
  readonly codecs: Record<Codec, { chunks: number; storedBytes: number }> = {
    gzip: { chunks: 0, storedBytes: 0 },
    zstd: { chunks: 0, storedBytes: 0 },
  }

  get counts(): readonly ShareCount[] {
    return this.#counts
  }

  /** What is added from here on belongs to the next one. */
  begin(): void {
    this.#counts.push({ storedBytes: 0, uniqueBytes: 0 })
  }

  add(chunk: ChunkKey, storedBytes: number, codec: Codec): void {
    if (this.#used >= this.#slots.keys.length * MOST_FILLED) this.#grow()
    const { keys, owners, latest, sizes } = this.#slots
    const index = this.#counts.length - 1
    const count = this.#counts[index]!
    const slot = findSlot(keys, chunk)
    if (keys[slot] === 0) {
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

/** A chunk, by the beginning of its hash. Never 0, which marks an empty slot. */
export type ChunkKey = number

export function chunkKey(hash: Sha256): ChunkKey {
  return Number.parseInt(hash.slice(0, PREFIX_DIGITS), 16) + 1
}

/** The same of each hash in a segment, without writing all of it out as text: that takes ten times as long. */
export function* segmentKeys(segment: Uint8Array): Generator<ChunkKey> {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength)
  for (let offset = 0; offset < segment.length; offset += HASH_BYTES)
    yield view.getUint16(offset) * 2 ** 32 + view.getUint32(offset + 2) + 1
}
