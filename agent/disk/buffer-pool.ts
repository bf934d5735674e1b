import { CHUNK_BYTES } from '#protocol/image.ts'
import { alignedMemory } from './system-calls.ts'

/** O_DIRECT wants at most the logical sector; a page satisfies every device. */
const PAGE_BYTES = 4096

const free: Buffer[] = []

/**
 * A page-aligned buffer of one chunk, for the time of `use`. Memory is reused and grows with the
 * number of those in use at once, so that number is what bounds it.
 */
export async function withChunkBuffer<Result>(
  use: (buffer: Buffer) => Promise<Result>,
): Promise<Result> {
  const buffer = free.pop() ?? alignedMemory(PAGE_BYTES, CHUNK_BYTES)
  try {
    return await use(buffer)
  } finally {
    free.push(buffer)
  }
}
