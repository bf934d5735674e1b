import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs'
import { describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { ChunkCorruptError, ChunkMissingError } from '#agent/chunk-client.ts'
import { DeviceBusyError, openDevice } from '#agent/disk/device.ts'
import { sha256 } from '#agent/http-chunk-client.ts'
import { ReadBackError, isZero } from '#agent/pipeline/verify-pieces.ts'
import { writeImage, writeImageWith } from '#agent/steps/write-image.ts'
import { CHUNK_BYTES, encodeManifest, encodeSegment } from '#protocol/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { openChunkServer, type ChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { createTestContext, type TestContextOptions } from '#test/support/step-context.ts'

const DISK_BYTES = 24 * CHUNK_BYTES
/** No multiple of a chunk: its last one is short. */
const IMAGE_BYTES = 20 * CHUNK_BYTES + 512 * 3

/** Content with runs of zeros between. */
function sampleImage(): Buffer {
  const image = randomBytes(IMAGE_BYTES)
  image.fill(0, 5 * CHUNK_BYTES, 9 * CHUNK_BYTES)
  image.fill(0, 17 * CHUNK_BYTES, 18 * CHUNK_BYTES)
  return image
}

function chunkHash(image: Buffer, index: number): Sha256 {
  return sha256(image.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES))
}

function contextFor(
  server: ChunkServer,
  disk: LoopDevice,
  digest: Sha256,
  more: Partial<TestContextOptions> = {},
) {
  return createTestContext({
    serverUrl: server.url,
    image: { name: 'sample', digest },
    disk: { path: disk.path, sizeBytes: DISK_BYTES },
    ...more,
  })
}

function openUsedDisk(): Promise<LoopDevice> {
  return openLoopDevice({ content: randomBytes(DISK_BYTES) })
}

function assertUnbootable(content: Buffer): void {
  for (const index of [0, 1, 2, 3, 20, 21, 22, 23])
    assert.ok(isZero(content.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)), `${index}`)
}

/** In the file behind a loop device, at once. */
function flipBit(file: string, offset: number): void {
  const fd = openSync(file, 'r+')
  const byte = Buffer.alloc(1)
  readSync(fd, byte, 0, 1, offset)
  writeSync(fd, Buffer.of(byte[0]! ^ 1), 0, 1, offset)
  closeSync(fd)
}

/** All of the body is written and flushed, and its first chunk read back; chunk 18 is not yet. */
function flipOnce(disk: LoopDevice): (done: number) => void {
  let flips = 0
  return (done) => {
    if (done > 18 * CHUNK_BYTES && flips++ === 0) flipBit(disk.file, 18 * CHUNK_BYTES + 100)
  }
}

function readAt(file: string, offset: number): Buffer {
  const fd = openSync(file, 'r')
  const bytes = Buffer.alloc(CHUNK_BYTES)
  readSync(fd, bytes, 0, bytes.length, offset)
  closeSync(fd)
  return bytes
}

/** Documentation/block/stat.rst: which of the figures counts what was completed. */
const DISCARDS = 11
const FLUSHES = 15

function statistic({ path }: LoopDevice, figure: number): number {
  const text = readFileSync(`/sys/block/${path.slice('/dev/'.length)}/stat`, 'latin1')
  return Number(text.trim().split(/\s+/)[figure])
}

describe('write-image', { skip: NEEDS_ROOT }, () => {
  it('leaves on the disk byte for byte what the image holds, zeros included', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const context = contextFor(server, disk, server.addImage(image))
    assert.deepEqual(await writeImage(context), { state: 'succeeded' })

    const content = await disk.content()
    assert.ok(content.subarray(0, IMAGE_BYTES).equals(image))
    assert.ok(isZero(content.subarray(DISK_BYTES - CHUNK_BYTES)))
    assert.partialDeepStrictEqual(context.facts, {
      imageName: 'sample',
      imageVerified: true,
      bytesWritten: IMAGE_BYTES,
      bytesVerified: IMAGE_BYTES,
      bytesUnused: 0,
    })
  })

  it('keeps the disk from booting from its first write to its last', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = server.addImage(sampleImage())
    const lastWrite = 2 * IMAGE_BYTES - CHUNK_BYTES
    let looks = 0
    const onProgress = (done: number) => {
      if (done >= lastWrite) return
      looks++
      assert.ok(isZero(readAt(disk.file, 0)), `A bootable head after ${done} bytes`)
      assert.ok(isZero(readAt(disk.file, DISK_BYTES - CHUNK_BYTES)), 'An old table at the end')
    }
    await writeImage(contextFor(server, disk, digest, { onProgress }))
    assert.ok(looks > 20)
    assert.ok(!isZero(readAt(disk.file, 0)))
  })

  it('zeroes 4 MiB at both ends before it asks for the first chunk', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const ends: boolean[] = []
    server.fault = ({ url }) => {
      if (!url!.startsWith('/chunks/') || ends.length > 0) return false
      const starts = [0, 1, 2, 3, 20, 21, 22, 23].map((index) => index * CHUNK_BYTES)
      ends.push(...starts.map((start) => isZero(readAt(disk.file, start))))
      assert.ok(!isZero(readAt(disk.file, 4 * CHUNK_BYTES)))
      return false
    }
    await writeImage(contextFor(server, disk, server.addImage(sampleImage())))
    assert.deepEqual(
      ends,
      Array.from({ length: 8 }, () => true),
    )
  })

  it('flushes after the ends are zeroed and after each part, before that is read back', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const counts = [statistic(disk, FLUSHES)]
    server.fault = ({ url }) => {
      if (url!.startsWith('/chunks/') && counts.length === 1) counts.push(statistic(disk, FLUSHES))
      return false
    }
    // Chunks 1 to 18, the last two, the head: each written, then read back.
    const written = [18 * CHUNK_BYTES, 37 * CHUNK_BYTES + 1536, 39 * CHUNK_BYTES + 2 * 1536]
    const onProgress = (done: number) => {
      if (done > written[counts.length - 2]!) counts.push(statistic(disk, FLUSHES))
    }
    await writeImage(contextFor(server, disk, server.addImage(sampleImage()), { onProgress }))
    assert.equal(counts.length, 5)
    for (const [index, count] of counts.slice(1).entries())
      assert.ok(count > counts[index]!, `Flushes so far: ${counts.join(', ')}`)
  })

  it('writes the same to a file, where there is no block device', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const context = contextFor(server, disk, server.addImage(image), { disk: { path: disk.file } })
    await writeImage(context)
    assert.ok((await disk.content()).subarray(0, IMAGE_BYTES).equals(image))
  })

  it('writes to a disk with sectors of 4,096 bytes', async () => {
    await using server = await openChunkServer()
    await using disk = await openLoopDevice({
      content: randomBytes(DISK_BYTES),
      sectorBytes: 4096,
    })
    const image = randomBytes(6 * CHUNK_BYTES + 4096)
    await writeImage(contextFor(server, disk, server.addImage(image, { sectorBytes: 4096 })))
    assert.ok((await disk.content()).subarray(0, image.length).equals(image))
  })

  it('writes an image of less than one chunk', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = randomBytes(512 * 7)
    await writeImage(contextFor(server, disk, server.addImage(image)))
    assert.ok((await disk.content()).subarray(0, image.length).equals(image))
  })

  it('leaves unused chunks out, or makes them zero if the run says so', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const digest = server.addImage(image, { unused: [10, 11] })
    const context = contextFor(server, disk, digest)
    await writeImage(context)
    assert.partialDeepStrictEqual(context.facts, {
      bytesUnused: 2 * CHUNK_BYTES,
      bytesVerified: IMAGE_BYTES - 2 * CHUNK_BYTES,
    })

    const zeroing = contextFor(server, disk, digest, { options: { zeroUnused: true } })
    await writeImage(zeroing)
    const content = await disk.content()
    assert.ok(isZero(content.subarray(10 * CHUNK_BYTES, 11 * CHUNK_BYTES)))
    assert.ok(isZero(content.subarray(11 * CHUNK_BYTES, 12 * CHUNK_BYTES)))
    assert.partialDeepStrictEqual(zeroing.facts, { bytesUnused: 0, bytesVerified: IMAGE_BYTES })
  })

  it('discards nothing that must be zero: what a discarded range reads as is undefined', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = server.addImage(sampleImage(), { unused: [10, 11] })
    const before = statistic(disk, DISCARDS)
    await writeImage(contextFor(server, disk, digest, { options: { zeroUnused: true } }))
    assert.equal(statistic(disk, DISCARDS), before)
    await writeImage(contextFor(server, disk, digest))
    assert.equal(statistic(disk, DISCARDS), before + 1)
  })

  it('reads unused chunks back as zeros if the run says so', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = server.addImage(sampleImage(), { unused: [18] })
    const onProgress = flipOnce(disk)
    const options = { zeroUnused: true }
    const context = contextFor(server, disk, digest, { options, onProgress })
    await assert.rejects(writeImage(context), ReadBackError)
    await writeImage(contextFor(server, disk, digest, { onProgress: flipOnce(disk) }))
  })

  it('says in the receipt that nothing was verified if the read-back was left out', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const context = contextFor(server, disk, server.addImage(image))
    await writeImageWith(context, { readBack: false })
    assert.ok((await disk.content()).subarray(0, IMAGE_BYTES).equals(image))
    assert.partialDeepStrictEqual(context.facts, { imageVerified: false, bytesVerified: 0 })
  })

  for (const [place, index] of [
    ['middle', 12],
    ['end', 20],
    ['head', 0],
  ] as const) {
    it(`a corrupt chunk in the ${place} fails by its hash and leaves no bootable disk`, async () => {
      await using server = await openChunkServer()
      await using disk = await openUsedDisk()
      const image = sampleImage()
      const context = contextFor(server, disk, server.addImage(image))
      const hash = chunkHash(image, index)
      server.chunks.set(hash, gzipSync(randomBytes(CHUNK_BYTES)))
      await assert.rejects(writeImage(context), (err) => {
        assert.ok(err instanceof ChunkCorruptError)
        assert.match(err.message, new RegExp(hash))
        return true
      })
      assertUnbootable(await disk.content())
      assert.equal(context.facts.imageVerified, undefined)
    })

    it(`a missing chunk in the ${place} fails by its hash and leaves no bootable disk`, async () => {
      await using server = await openChunkServer()
      await using disk = await openUsedDisk()
      const image = sampleImage()
      const context = contextFor(server, disk, server.addImage(image))
      const hash = chunkHash(image, index)
      server.chunks.delete(hash)
      await assert.rejects(writeImage(context), (err) => {
        assert.ok(err instanceof ChunkMissingError)
        assert.match(err.message, new RegExp(hash))
        return true
      })
      assertUnbootable(await disk.content())
    })
  }

  it('does not touch the disk if the manifest is not the one of its digest', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = server.addImage(sampleImage())
    const other = server.addImage(randomBytes(CHUNK_BYTES))
    server.manifests.set(digest, server.manifests.get(other)!)
    const before = await disk.digest()
    await assert.rejects(writeImage(contextFor(server, disk, digest)), ChunkCorruptError)
    assert.equal(await disk.digest(), before)
  })

  it('inflates no more than a chunk, whatever the server sends', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const context = contextFor(server, disk, server.addImage(image))
    for (const bomb of [gzipSync, zstdCompressSync]) {
      server.chunks.set(chunkHash(image, 12), bomb(Buffer.alloc(CHUNK_BYTES + 1)))
      await assert.rejects(writeImage(context), /does not inflate/)
      assertUnbootable(await disk.content())
    }
  })

  it('refuses a chunk that has not the length of its place', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const short = randomBytes(512)
    const store = (bytes: Uint8Array) => {
      server.chunks.set(sha256(bytes), gzipSync(bytes))
      return sha256(bytes)
    }
    const references = [store(randomBytes(CHUNK_BYTES)), store(short), 'zero'] as const
    const manifest = encodeManifest({
      sizeBytes: 3 * CHUNK_BYTES,
      sectorBytes: 512,
      segments: [store(encodeSegment(references))],
    })
    server.manifests.set(sha256(manifest), Buffer.from(manifest))
    const writing = writeImage(contextFor(server, disk, sha256(manifest)))
    await assert.rejects(writing, /holds 512 bytes where the image has 1048576/)
    assertUnbootable(await disk.content())
  })

  it('goes on after connections cut in the middle of a chunk', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const digest = server.addImage(image)
    const cut = new Set<string>()
    server.fault = (request, response) => {
      const chunk = server.chunks.get(request.url!.replace('/chunks/', ''))
      if (!chunk || cut.has(request.url!)) return false
      cut.add(request.url!)
      response.writeHead(200, { 'content-length': chunk.length })
      response.write(chunk.subarray(0, chunk.length / 2), () => response.destroy())
      return true
    }
    await writeImage(contextFor(server, disk, digest))
    assert.ok(cut.size > 10)
    assert.ok((await disk.content()).subarray(0, IMAGE_BYTES).equals(image))
  })

  it('stops when the run is cancelled and leaves no bootable disk', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const cancel = new AbortController()
    const digest = server.addImage(image)
    // From the third chunk on the server is silent: only the cancel can end the step.
    let asked = 0
    server.fault = (request) => {
      if (!request.url!.startsWith('/chunks/') || ++asked < 4) return false
      cancel.abort(new Error('The run was cancelled'))
      return true
    }
    const context = contextFor(server, disk, digest, { signal: cancel.signal })
    await assert.rejects(writeImage(context), /The run was cancelled/)
    assertUnbootable(await disk.content())
  })

  // Chunks 1 to 18 are written first, then the last two, then the head; each part twice over:
  // written, read back.
  for (const [place, doneBytes, index] of [
    ['a chunk', 18 * CHUNK_BYTES, 3],
    ['zeros', 18 * CHUNK_BYTES, 6],
    ['the backup table', 37 * CHUNK_BYTES + 1536, 20],
    ['the head', 39 * CHUNK_BYTES + 2 * 1536, 0],
  ] as const) {
    it(`a disk that loses a bit of ${place} fails the read-back and does not boot`, async () => {
      await using server = await openChunkServer()
      await using disk = await openUsedDisk()
      const digest = server.addImage(sampleImage())
      let flips = 0
      const onProgress = (done: number) => {
        if (done !== doneBytes) return
        flips++
        flipBit(disk.file, index * CHUNK_BYTES + 100)
      }
      const context = contextFor(server, disk, digest, { onProgress })
      await assert.rejects(writeImage(context), ReadBackError)
      assert.equal(flips, 1)
      assertUnbootable(await disk.content())
      assert.equal(context.facts.imageVerified, undefined)
    })
  }

  it('reads back what the device holds, not what memory does', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = server.addImage(sampleImage())
    const context = contextFor(server, disk, digest, { onProgress: flipOnce(disk) })
    await assert.rejects(writeImage(context), ReadBackError)
    assertUnbootable(await disk.content())
  })

  it('refuses a disk that something else holds, and leaves it as it is', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    // As a mount holds it: exclusively.
    await using holder = await openDevice(disk.path, 'read')
    const before = await disk.digest()
    const digest = server.addImage(sampleImage())
    await assert.rejects(writeImage(contextFor(server, disk, digest)), DeviceBusyError)
    assert.equal(await disk.digest(), before)
    assert.ok(holder)
  })
})
