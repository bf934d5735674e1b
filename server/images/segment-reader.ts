import { CHUNK_BYTES } from '#protocol/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { verifiedContent } from './chunk-codec.ts'
import type { ChunkStore } from './chunk-store.ts'
import { createGiveBack } from './give-back.ts'

/** 1 MiB that does not compress, and what its codec adds. */
const STORED_BYTES = CHUNK_BYTES + 65_536

/**
 * Reads one segment after another, the content verified. What it returns is good until the next call: an image of
 * ten million chunks has 320 of them, and memory outside of the heap is given back late.
 */
export function createSegmentReader(store: ChunkStore): (hash: Sha256) => Promise<Uint8Array> {
  const storedBuffer = Buffer.allocUnsafeSlow(STORED_BYTES)
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  const giveBack = createGiveBack()
  return async (hash) => {
    giveBack()
    const content = await verifiedContent(hash, await store.read(hash, storedBuffer))
    buffer.set(content)
    return buffer.subarray(0, content.length)
  }
}
