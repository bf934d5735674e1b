import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunk-client.ts'
import { compressChunk } from '../chunk-pool.ts'
import { withFrameBuffer } from '../disk/buffer-pool.ts'
import { LevelChooser } from './compression-level.ts'

export interface ChunkSender {
  /** Brings those that the server lacks there; buffers may be reused afterwards. */
  send(chunks: ReadonlyMap<Sha256, Buffer>, signal: AbortSignal): Promise<void>
  bytesSent(): number
}

export function createChunkSender(client: ChunkClient): ChunkSender {
  // Two places of a disk may hold the same chunk, and both be under way at once.
  const underWay = new Map<Sha256, Promise<void>>()
  const levels = new LevelChooser()
  let bytesSent = 0

  async function sendOne(hash: Sha256, bytes: Buffer, signal: AbortSignal): Promise<void> {
    await withFrameBuffer(async (frame) => {
      const started = performance.now()
      const length = await compressChunk(bytes, frame, levels.level)
      const compressed = performance.now()
      await client.put(hash, frame.subarray(0, length), signal)
      levels.add({
        compressMilliseconds: compressed - started,
        sendMilliseconds: performance.now() - compressed,
      })
      bytesSent += length
    })
  }

  function sendOnce(hash: Sha256, bytes: Buffer, signal: AbortSignal): Promise<void> {
    const sending = underWay.get(hash)
    if (sending) return sending
    const sent = sendOne(hash, bytes, signal).finally(() => underWay.delete(hash))
    underWay.set(hash, sent)
    return sent
  }

  return {
    async send(chunks, signal) {
      if (chunks.size === 0) return
      const missing = await client.missing([...chunks.keys()], signal)
      // All must have ended before the buffers are somebody else's.
      const outcomes = await Promise.allSettled(
        [...missing].map((hash) => sendOnce(hash, chunks.get(hash)!, signal)),
      )
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    },
    bytesSent: () => bytesSent,
  }
}
