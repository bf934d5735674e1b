import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { sha256 } from '#agent/chunks/content.ts'
import { ChunkCorruptError, ChunkMissingError } from '#agent/chunks/chunk-client.ts'
import { DeviceBusyError, openDevice } from '#agent/disk/device.ts'
import { ReadBackError } from '#agent/pipeline/verify-pieces.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { CHUNK_BYTES, encodeManifest, encodeSegment } from '#protocol/image/image.ts'
import { openChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import {
  assertUnbootable,
  chunkHash,
  contextFor,
  flipBit,
  flipOnce,
  IMAGE_BYTES,
  openUsedDisk,
  sampleImage,
} from './sample-deploy.ts'

describe('write-image, when server, network or disk fail', { skip: NEEDS_ROOT }, () => {
  for (const [place, index] of [
    ['middle', 12],
    ['end', 20],
    ['head', 0],
  ] as const) {
    for (const { kind, spoil, error } of [
      {
        kind: 'corrupt',
        spoil: (chunks: Map<string, Buffer>, hash: string) =>
          chunks.set(hash, gzipSync(randomBytes(CHUNK_BYTES))),
        error: ChunkCorruptError,
      },
      {
        kind: 'missing',
        spoil: (chunks: Map<string, Buffer>, hash: string) => chunks.delete(hash),
        error: ChunkMissingError,
      },
    ])
      it(`a ${kind} chunk in the ${place} fails by its hash and leaves no bootable disk`, async () => {
        await using server = await openChunkServer()
        await using disk = await openUsedDisk()
        const image = sampleImage()
        const context = await contextFor(server, disk, server.addImage(image))
        const hash = chunkHash(image, index)
        spoil(server.chunks, hash)
        await assert.rejects(writeImage(context), (err) => {
          assert.ok(err instanceof error)
          assert.match(err.message, new RegExp(hash))
          return true
        })
        assertUnbootable(await disk.content())
        assert.equal(context.facts.imageVerified, undefined)
      })
  }

  it('does not touch the disk if the manifest is not the one of its digest', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const digest = server.addImage(sampleImage())
    const other = server.addImage(randomBytes(CHUNK_BYTES))
    server.manifests.set(digest, server.manifests.get(other)!)
    const before = await disk.digest()
    await assert.rejects(writeImage(await contextFor(server, disk, digest)), ChunkCorruptError)
    assert.equal(await disk.digest(), before)
  })

  it('inflates no more than a chunk, whatever the server sends', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const image = sampleImage()
    const context = await contextFor(server, disk, server.addImage(image))
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
    const writing = writeImage(await contextFor(server, disk, sha256(manifest)))
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
    await writeImage(await contextFor(server, disk, digest))
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
    const context = await contextFor(server, disk, digest, { signal: cancel.signal })
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
      const context = await contextFor(server, disk, digest, { onProgress })
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
    const context = await contextFor(server, disk, digest, { onProgress: flipOnce(disk) })
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
    await assert.rejects(writeImage(await contextFor(server, disk, digest)), DeviceBusyError)
    assert.equal(await disk.digest(), before)
    assert.ok(holder)
  })
})
