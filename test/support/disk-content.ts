import { createHash, randomBytes } from 'node:crypto'
import type { Sha256 } from '#protocol/sha256.ts'

export const MIB = 1024 * 1024

/**
 * A disk of a few MiB that has everything: compressible and random chunks, zeros, a chunk twice, and a
 * last chunk shorter than the others.
 */
export function diskContent({ chunks = 9, lastBytes = 512 * 3 } = {}): Buffer {
  const disk = Buffer.alloc((chunks - 1) * MIB + lastBytes)
  for (let index = 0; index < chunks; index++) {
    const chunk = disk.subarray(index * MIB, (index + 1) * MIB)
    if (index % 4 === 0) chunk.write(`chunk ${index} of a test `.repeat(20), 512)
    if (index % 4 === 1) randomBytes(chunk.length).copy(chunk)
    if (index % 4 === 3) chunk.fill('the same again')
  }
  return disk
}

export function sha256(bytes: Uint8Array): Sha256 {
  return createHash('sha256').update(bytes).digest('hex') as Sha256
}
