/** Buffers of up to this length may lie in memory that Node shares among several of them. */
const POOL_BYTES = 8192

/**
 * Gives the memory of bytes back that nobody else has and nobody reads any more; the array is empty
 * from here on. V8 lets hundreds of MB of them wait, over all threads, before it collects, and to
 * collect costs more the larger the rest of the heap is.
 */
export function letGo({ buffer, byteOffset, byteLength }: Uint8Array): void {
  const isWhole = byteOffset === 0 && byteLength * 2 > buffer.byteLength
  if (buffer instanceof ArrayBuffer && isWhole && buffer.byteLength > POOL_BYTES) buffer.transfer(0)
}
