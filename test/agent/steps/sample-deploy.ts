import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import { exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { isZero, sha256 } from '#agent/chunks/content.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkServer } from '#test/support/chunk-server.ts'
import { type LoopDevice, openLoopDevice } from '#test/support/loop-device.ts'
import { createTestContext, type TestContextOptions } from '#test/support/step-context.ts'

/** A small image, a disk that holds something else, and how the disk is looked at and damaged. */

export const DISK_BYTES = 24 * CHUNK_BYTES
/** No multiple of a chunk: its last one is short. */
export const IMAGE_BYTES = 20 * CHUNK_BYTES + 512 * 3

/** Content with runs of zeros between. */
export function sampleImage(): Buffer {
  const image = randomBytes(IMAGE_BYTES)
  image.fill(0, 5 * CHUNK_BYTES, 9 * CHUNK_BYTES)
  image.fill(0, 17 * CHUNK_BYTES, 18 * CHUNK_BYTES)
  return image
}

export function chunkHash(image: Buffer, index: number): Sha256 {
  return sha256(image.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES))
}

export async function contextFor(
  server: ChunkServer,
  disk: LoopDevice,
  digest: Sha256,
  more: Partial<TestContextOptions> = {},
) {
  return createTestContext({
    serverUrl: server.url,
    image: { name: 'sample', digest },
    disk: await readDiskAt(exec, disk.path),
    ...more,
  })
}

export function openUsedDisk(): Promise<LoopDevice> {
  return openLoopDevice({ content: randomBytes(DISK_BYTES) })
}

export function assertUnbootable(content: Buffer): void {
  for (const index of [0, 1, 2, 3, 20, 21, 22, 23])
    assert.ok(isZero(content.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)), `${index}`)
}

/** In the file behind a loop device, at once. */
export function flipBit(file: string, offset: number): void {
  const fd = openSync(file, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, offset)
  writeSync(fd, Buffer.of(byte[0]! ^ 1), 0, 1, offset)
  closeSync(fd)
}

/** All of the body is written and flushed, and its first chunk read back; chunk 18 is not yet. */
export function flipOnce(disk: LoopDevice): (done: number) => void {
  let flips = 0
  return (done) => {
    if (done > 18 * CHUNK_BYTES && flips++ === 0) flipBit(disk.file, 18 * CHUNK_BYTES + 100)
  }
}
