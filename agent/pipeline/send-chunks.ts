import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import { compressChunk } from '../chunks/chunk-pool.ts'
import { withFrameBuffer } from '../disk/buffer-pool.ts'
import { LevelChooser } from './compression-level.ts'
import { createSendLimit } from './send-limit.ts'

export interface ChunkSender {
  /** Brings those that the server lacks there; buffers may be reused afterwards. */
  send(chunks: ReadonlyMap<Sha256, Buffer>, signal: AbortSignal): Promise<void>
  bytesSent(): number
}

export function createChunkSender(client: ChunkClient): ChunkSender {
  // Two places of a disk may hold the same chunk: who is first asks and sends, and others wait for that.
  const underWay = new Map<Sha256, Promise<void>>()
  const levels = new LevelChooser()
  const inTurn = createSendLimit()
  let bytesSent = 0

  async function sendOne(hash: Sha256, bytes: Buffer, signal: AbortSignal): Promise<void> {
    await withFrameBuffer(async (frame) => {
      const started = performance.now()
      const length = await compressChunk(bytes, frame, levels.level)
      const compressed = performance.now()
      await inTurn(() => client.put(hash, frame.subarray(0, length), signal))
      levels.add({
        compressMilliseconds: compressed - started,
        sendMilliseconds: performance.now() - compressed,
      })
      bytesSent += length
    })
  }

  async function bring(
    hash: Sha256,
    bytes: Buffer,
    asked: Promise<Set<Sha256>>,
    signal: AbortSignal,
  ) {
    if ((await asked).has(hash)) await sendOne(hash, bytes, signal)
  }

  return {
    async send(chunks, signal) {
      const mine = [...chunks].filter(([hash]) => !underWay.has(hash))
      if (mine.length > 0) {
        const hashes = mine.map(([hash]) => hash)
        const asked = client.missing(hashes, signal)
        for (const [hash, bytes] of mine) {
          const brought = bring(hash, bytes, asked, signal).finally(() => underWay.delete(hash))
          underWay.set(hash, brought)
        }
      }
      // All must have ended before the buffers are somebody else's.
      const outcomes = await Promise.allSettled(
        [...chunks.keys()].map((hash) => underWay.get(hash)!),
      )
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
    },
    bytesSent: () => bytesSent,
  }
}
