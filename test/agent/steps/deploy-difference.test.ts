import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { describe, it } from 'node:test'
import { sha256 } from '#agent/chunks/content.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { openChunkServer, type ChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import type { TestContextOptions } from '#test/support/step-context.ts'
import { contextFor } from './sample-deploy.ts'

const CHUNKS = 40
const IMAGE_BYTES = CHUNKS * CHUNK_BYTES

/** Each chunk like no other, and quick to compress. */
function contentOf(chunks: number): Buffer {
  const image = Buffer.alloc(chunks * CHUNK_BYTES)
  for (let at = 0; at < image.length; at += CHUNK_BYTES) {
    image.fill(randomBytes(64), at, at + CHUNK_BYTES)
    randomBytes(4096).copy(image, at)
  }
  return image
}

const chunkOf = (image: Buffer, index: number) =>
  image.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)

/** The image with the chunks of `from` where `to` begins. */
function withMoved(image: Buffer, from: [start: number, end: number], to: number): Buffer {
  const moved = Buffer.from(image)
  image.copy(moved, to * CHUNK_BYTES, from[0] * CHUNK_BYTES, from[1] * CHUNK_BYTES)
  return moved
}

/** Numbers of the image's chunks that were fetched from now on, and fetched twice if they were. */
function watchFetches(server: ChunkServer, image: Buffer): number[] {
  const places = new Map<Sha256, number>()
  for (let index = 0; index < image.length / CHUNK_BYTES; index++)
    places.set(sha256(chunkOf(image, index)), index)
  const fetched: number[] = []
  server.fault = ({ url }) => {
    const place = places.get(url!.replace('/chunks/', '') as Sha256)
    if (place !== undefined) fetched.push(place)
    return false
  }
  return fetched
}

async function deploy(
  server: ChunkServer,
  disk: LoopDevice,
  digest: Sha256,
  more: Partial<TestContextOptions> = {},
) {
  const context = await contextFor(server, disk, digest, more)
  await writeImage(context)
  return context
}

function overwrite(file: string, place: number, bytes: Uint8Array): void {
  const fd = openSync(file, 'r+')
  writeSync(fd, bytes, 0, bytes.length, place * CHUNK_BYTES)
  closeSync(fd)
}

const ascending = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)

describe('a deploy as a difference', { skip: NEEDS_ROOT }, () => {
  it('fetches nothing for a disk that holds the image, its two ends included', async () => {
    await using server = await openChunkServer()
    const image = contentOf(CHUNKS)
    await using disk = await openLoopDevice({ content: image })
    const digest = server.addImage(image)
    const fetched = watchFetches(server, image)
    const { facts } = await deploy(server, disk, digest)
    assert.deepEqual(fetched, [])
    assert.ok((await disk.content()).equals(image))
    // Chunks 0 to 3 and 36 to 39 were made zero and are written again, from memory.
    assert.partialDeepStrictEqual(facts, {
      imageVerified: true,
      bytesSkipped: 32 * CHUNK_BYTES,
      bytesWritten: 8 * CHUNK_BYTES,
      bytesVerified: IMAGE_BYTES,
    })
  })

  it('fetches the chunks that differ, and no others', async () => {
    await using server = await openChunkServer()
    const image = contentOf(CHUNKS)
    const old = Buffer.from(image)
    for (const index of [2, 9, 10, 25, 39]) randomBytes(512).copy(old, index * CHUNK_BYTES + 512)
    await using disk = await openLoopDevice({ content: old })
    const digest = server.addImage(image)
    const fetched = watchFetches(server, image)
    const { facts } = await deploy(server, disk, digest)
    assert.deepEqual(ascending(fetched), [2, 9, 10, 25, 39])
    assert.ok((await disk.content()).equals(image))
    assert.equal(facts.bytesSkipped, 29 * CHUNK_BYTES)
    assert.equal(facts.bytesVerified, IMAGE_BYTES)
  })

  it('compares where the disk holds a small part of the image', async () => {
    await using server = await openChunkServer()
    const image = contentOf(CHUNKS)
    const old = withMoved(contentOf(CHUNKS), [0, 0], 0)
    image.copy(old, 10 * CHUNK_BYTES, 10 * CHUNK_BYTES, 20 * CHUNK_BYTES)
    await using disk = await openLoopDevice({ content: old })
    const digest = server.addImage(image)
    const fetched = watchFetches(server, image)
    await deploy(server, disk, digest)
    const expected = Array.from({ length: CHUNKS }, (_, index) => index)
    assert.deepEqual(
      ascending(fetched),
      expected.filter((index) => index < 10 || index >= 20),
    )
    assert.ok((await disk.content()).equals(image))
  })

  for (const [what, from, to] of [
    ['to where nothing of it was', [6, 16], 22],
    ['upwards onto itself', [6, 20], 9],
    ['downwards onto itself', [12, 30], 7],
    ['by one chunk', [6, 30], 7],
  ] as const) {
    it(`takes content that moved ${what} from the disk itself`, async () => {
      await using server = await openChunkServer()
      const old = contentOf(CHUNKS)
      const image = withMoved(old, [...from], to)
      await using disk = await openLoopDevice({ content: old })
      const digest = server.addImage(image)
      const fetched = watchFetches(server, image)
      await deploy(server, disk, digest)
      assert.deepEqual(fetched, [])
      assert.ok((await disk.content()).equals(image))
    })
  }

  it('takes moved content from a place that is zero or unused in the image', async () => {
    await using server = await openChunkServer()
    const old = contentOf(CHUNKS)
    old.fill(0, 20 * CHUNK_BYTES, 32 * CHUNK_BYTES)
    const image = withMoved(old, [6, 16], 21)
    image.fill(0, 6 * CHUNK_BYTES, 16 * CHUNK_BYTES)
    await using disk = await openLoopDevice({ content: old })
    const digest = server.addImage(image, { unused: [6, 7, 8, 9, 10] })
    const fetched = watchFetches(server, image)
    await deploy(server, disk, digest)
    assert.deepEqual(fetched, [])
    const content = await disk.content()
    assert.ok(content.subarray(11 * CHUNK_BYTES).equals(image.subarray(11 * CHUNK_BYTES)))
  })

  it('fetches one chunk of a pair that changed places', async () => {
    await using server = await openChunkServer()
    const old = contentOf(CHUNKS)
    const image = withMoved(old, [10, 11], 20)
    chunkOf(old, 20).copy(image, 10 * CHUNK_BYTES)
    await using disk = await openLoopDevice({ content: old })
    const digest = server.addImage(image)
    const fetched = watchFetches(server, image)
    await deploy(server, disk, digest)
    assert.equal(fetched.length, 1)
    assert.ok((await disk.content()).equals(image))
  })

  it('fetches a chunk once that the image has at several places', async () => {
    await using server = await openChunkServer()
    const image = contentOf(CHUNKS)
    for (const index of [8, 9, 10, 11, 30]) chunkOf(image, 7).copy(image, index * CHUNK_BYTES)
    await using disk = await openLoopDevice({ content: randomBytes(IMAGE_BYTES) })
    const digest = server.addImage(image)
    const fetched = watchFetches(server, image)
    await deploy(server, disk, digest)
    assert.equal(fetched.length, CHUNKS - 5)
    assert.ok((await disk.content()).equals(image))
  })

  it('hashes what it takes from the disk again: what was noted of a place may hold no more', async () => {
    await using server = await openChunkServer()
    const old = contentOf(CHUNKS)
    const image = withMoved(old, [6, 16], 22)
    contentOf(10).copy(image, 6 * CHUNK_BYTES)
    await using disk = await openLoopDevice({ content: old })
    const digest = server.addImage(image)
    const fetched = watchFetches(server, image)
    // Of 32 places 12 are right where they are. When these were read, nothing is copied yet.
    let changes = 0
    const onProgress = (done: number) => {
      if (done === 2 * 12 * CHUNK_BYTES && changes++ === 0)
        overwrite(disk.file, 8, randomBytes(CHUNK_BYTES))
    }
    await deploy(server, disk, digest, { onProgress })
    assert.equal(changes, 1)
    assert.deepEqual(ascending(fetched), [6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 24])
    assert.ok((await disk.content()).equals(image))
  })
})
