import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { compareDiskStep, DiskDiffersError } from '#agent/steps/compare-disk.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { openChunkServer, type ChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, type LoopDevice } from '#test/support/loop-device.ts'
import {
  contextFor,
  DISK_BYTES,
  flipBit,
  IMAGE_BYTES,
  openUsedDisk,
  sampleImage,
} from './sample-deploy.ts'

/** Of the image, the last one short. */
const CHUNKS = Math.ceil(IMAGE_BYTES / CHUNK_BYTES)
/** One that was not in use. */
const UNUSED = 10

async function deploy(server: ChunkServer, disk: LoopDevice) {
  const digest = server.addImage(sampleImage(), { unused: [UNUSED] })
  await writeImage(await contextFor(server, disk, digest))
  return digest
}

async function isReadOnly({ path }: LoopDevice): Promise<boolean> {
  return (await exec('blockdev', ['--getro', path])).stdout.trim() === '1'
}

describe('compare-disk', { skip: NEEDS_ROOT }, () => {
  it('finds the image on the disk that got it, and leaves that as it is', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = await deploy(server, disk)
    const before = await disk.digest()
    let held: Promise<boolean> | undefined
    const onProgress = () => (held ??= isReadOnly(disk))
    const context = await contextFor(server, disk, digest, { workflow: 'verify', onProgress })
    assert.equal((await compareDiskStep(context)).state, 'succeeded')
    assert.deepEqual(context.facts, {
      imageName: 'sample',
      imageDigest: digest,
      imageVerified: true,
      comparison: {
        matches: true,
        chunksCompared: CHUNKS - 1,
        chunksDiffering: 0,
        chunksUnreadable: 0,
        chunksUnused: 1,
        differing: [],
        partitions: [],
        chunksOutside: 0,
      },
    })
    assert.equal(await disk.digest(), before)
    assert.deepEqual([await held, await isReadOnly(disk)], [true, false])
  })

  it('fails where the disk holds something else, and the receipt says where', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = await deploy(server, disk)
    // Content, zeros, what does not matter, the short last chunk, and what lies behind the image.
    for (const at of [3, 6, UNUSED]) flipBit(disk.file, at * CHUNK_BYTES + 100)
    for (const at of [IMAGE_BYTES - 1, IMAGE_BYTES, DISK_BYTES - 1]) flipBit(disk.file, at)
    const context = await contextFor(server, disk, digest, { workflow: 'verify' })
    await assert.rejects(compareDiskStep(context), DiskDiffersError)
    assert.equal(context.facts.imageVerified, false)
    assert.partialDeepStrictEqual(context.facts.comparison, {
      matches: false,
      chunksDiffering: 3,
      differing: [
        { startMib: 3, endMib: 4 },
        { startMib: 6, endMib: 7 },
        { startMib: CHUNKS - 1, endMib: CHUNKS },
      ],
    })
    assert.equal(await isReadOnly(disk), false)
  })
})
