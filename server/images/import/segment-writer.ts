import { type ChunkReference, encodeSegment, SEGMENT_CHUNKS } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'

/**
 * Collects references, which may come out of order, and stores each segment once it is full, so
 * that the memory for a large image stays small.
 */
export class SegmentWriter {
  readonly #store: (bytes: Uint8Array) => Promise<Sha256>
  /** References of segments that are not stored yet. */
  readonly #open = new Map<number, Map<number, ChunkReference>>()
  readonly #segments: (Sha256 | null)[] = []

  /** `store` puts the bytes of a segment into the chunk store and gives their hash. */
  constructor(store: (bytes: Uint8Array) => Promise<Sha256>) {
    this.#store = store
  }

  async add(index: number, reference: ChunkReference): Promise<void> {
    const segmentIndex = Math.floor(index / SEGMENT_CHUNKS)
    const segment = this.#open.get(segmentIndex) ?? new Map<number, ChunkReference>()
    this.#open.set(segmentIndex, segment)
    segment.set(index % SEGMENT_CHUNKS, reference)
    if (segment.size === SEGMENT_CHUNKS) await this.#finish(segmentIndex, segment)
  }

  /** The list for the manifest, once every chunk was added. */
  async finish(): Promise<(Sha256 | null)[]> {
    for (const [index, segment] of this.#open) await this.#finish(index, segment)
    return this.#segments
  }

  async #finish(index: number, segment: Map<number, ChunkReference>): Promise<void> {
    this.#open.delete(index)
    const references = Array.from({ length: segment.size }, (_, at) => segment.get(at)!)
    const isZero = references.every((reference) => reference === 'zero')
    this.#segments[index] = isZero ? null : await this.#store(encodeSegment(references))
  }
}
