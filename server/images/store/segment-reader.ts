import { CHUNK_BYTES, LONGEST_STORED_BYTES } from '#protocol/image/chunk-size.ts'
import { createGiveBack } from '#server/give-back.ts'
import { letGo } from '#protocol/let-go.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { verifiedContent } from './chunk-codec.ts'
import type { ChunkStore } from './chunk-store.ts'

/** 1 TiB of disk: images up to that never come here. About 70 MB are let go of each time. */
export const GIVE_BACK_SEGMENTS = 32

/**
 * Reads one segment after another, the content verified. What it returns is good until the next call: an image of
 * ten million chunks has 320 of them, and memory outside of the heap is given back late.
 */
export function createSegmentReader(store: ChunkStore): (hash: Sha256) => Promise<Uint8Array> {
  const storedBuffer = Buffer.allocUnsafeSlow(LONGEST_STORED_BYTES)
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  const giveBack = createGiveBack(GIVE_BACK_SEGMENTS)
  return async (hash) => {
    giveBack()
    const content = await verifiedContent(hash, await store.read(hash, storedBuffer))
    const { length } = content
    buffer.set(content)
    letGo(content)
    return buffer.subarray(0, length)
  }
}
