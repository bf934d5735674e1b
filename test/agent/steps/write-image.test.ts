import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync } from 'node:fs'
import { describe, it } from 'node:test'
import { isZero } from '#agent/chunks/content.ts'
import { ReadBackError } from '#agent/pipeline/verify-pieces.ts'
import { openDevice } from '#agent/disk/device.ts'
import { bringImage } from '#agent/pipeline/bring-image.ts'
import { fitImage } from '#agent/steps/fit-image.ts'
import { writeImage, writeImageWith } from '#agent/steps/write-image.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { openChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import {
  contextFor,
  DISK_BYTES,
  flipOnce,
  IMAGE_BYTES,
  openUsedDisk,
  sampleImage,
} from './sample-deploy.ts'

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
    const context = await contextFor(server, disk, server.addImage(image))
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
    await writeImage(await contextFor(server, disk, digest, { onProgress }))
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
    await writeImage(await contextFor(server, disk, server.addImage(sampleImage())))
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
    await writeImage(await contextFor(server, disk, server.addImage(sampleImage()), { onProgress }))
    assert.equal(counts.length, 5)
    for (const [index, count] of counts.slice(1).entries())
      assert.ok(count > counts[index]!, `Flushes so far: ${counts.join(', ')}`)
  })

  it('writes the same to a file, where there is no block device', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const digest = server.addImage(image)
    const context = await contextFor(server, disk, digest)
    await using device = await openDevice(disk.file, 'write')
    const fitted = await fitImage(context, digest, device.sizeBytes)
    const { signal } = context
    const quiet = { log: () => {}, progress: () => {} }
    const options = { zeroUnused: false, readBack: true, signal, ...quiet }
    await bringImage({ ...options, ...fitted, device, ends: new Map() })
    assert.ok((await disk.content()).subarray(0, IMAGE_BYTES).equals(image))
  })

  it('writes to a disk with sectors of 4,096 bytes', async () => {
    await using server = await openChunkServer()
    await using disk = await openLoopDevice({
      content: randomBytes(DISK_BYTES),
      sectorBytes: 4096,
    })
    const image = randomBytes(6 * CHUNK_BYTES + 4096)
    await writeImage(await contextFor(server, disk, server.addImage(image, { sectorBytes: 4096 })))
    assert.ok((await disk.content()).subarray(0, image.length).equals(image))
  })

  it('writes an image of less than one chunk', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = randomBytes(512 * 7)
    await writeImage(await contextFor(server, disk, server.addImage(image)))
    assert.ok((await disk.content()).subarray(0, image.length).equals(image))
  })

  it('leaves unused chunks out, or makes them zero if the run says so', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const digest = server.addImage(image, { unused: [10, 11] })
    const context = await contextFor(server, disk, digest)
    await writeImage(context)
    assert.partialDeepStrictEqual(context.facts, {
      bytesUnused: 2 * CHUNK_BYTES,
      bytesVerified: IMAGE_BYTES - 2 * CHUNK_BYTES,
    })

    const zeroing = await contextFor(server, disk, digest, { options: { zeroUnused: true } })
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
    await writeImage(await contextFor(server, disk, digest, { options: { zeroUnused: true } }))
    assert.equal(statistic(disk, DISCARDS), before)
    await writeImage(await contextFor(server, disk, digest))
    assert.equal(statistic(disk, DISCARDS), before + 1)
  })

  it('reads unused chunks back as zeros if the run says so', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = server.addImage(sampleImage(), { unused: [18] })
    const onProgress = flipOnce(disk)
    const options = { zeroUnused: true }
    const context = await contextFor(server, disk, digest, { options, onProgress })
    await assert.rejects(writeImage(context), ReadBackError)
    await writeImage(await contextFor(server, disk, digest, { onProgress: flipOnce(disk) }))
  })

  it('says in the receipt that nothing was verified if the read-back was left out', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const context = await contextFor(server, disk, server.addImage(image))
    await writeImageWith(context, { readBack: false })
    assert.ok((await disk.content()).subarray(0, IMAGE_BYTES).equals(image))
    assert.partialDeepStrictEqual(context.facts, { imageVerified: false, bytesVerified: 0 })
  })
})
