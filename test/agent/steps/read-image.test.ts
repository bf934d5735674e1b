import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { ImageIncompleteError } from '#agent/chunks/chunk-client.ts'
import { readImage } from '#agent/steps/read-image.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { DELICATE_CONTENTS } from '#test/support/delicate-disks.ts'
import { openChunkServer, type ChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { createTestContext, type TestContextOptions } from '#test/support/step-context.ts'

const DISK_BYTES = 40 * CHUNK_BYTES + 512

function sampleDisk(): Buffer {
  const disk = randomBytes(DISK_BYTES)
  disk.fill(0, 3 * CHUNK_BYTES, 20 * CHUNK_BYTES)
  // The same chunk twice.
  disk.copy(disk, 30 * CHUNK_BYTES, 31 * CHUNK_BYTES, 32 * CHUNK_BYTES)
  return disk
}

async function contextFor(
  server: ChunkServer,
  disk: LoopDevice,
  more: Partial<TestContextOptions> = {},
) {
  return createTestContext({
    serverUrl: server.url,
    workflow: 'capture',
    image: { name: 'captured' },
    disk: await readDiskAt(exec, disk.path),
    ...more,
  })
}

describe('read-image', { skip: NEEDS_ROOT }, () => {
  it('makes an image that deploys to byte for byte the same disk', async () => {
    await using server = await openChunkServer()
    await using source = await openLoopDevice({ content: sampleDisk() })
    const context = await contextFor(server, source)
    await readImage(context)

    const { digest } = server.images.get('captured')!
    assert.partialDeepStrictEqual(context.facts, { imageDigest: digest, bytesRead: DISK_BYTES })
    await using target = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const image = { name: 'captured', digest }
    await writeImage(await contextFor(server, target, { workflow: 'deploy', image }))
    assert.equal(await target.digest(), await source.digest())
  })

  it('has the digest that an import of the same bytes has', async () => {
    await using server = await openChunkServer()
    const content = sampleDisk()
    await using source = await openLoopDevice({ content })
    await readImage(await contextFor(server, source))
    assert.equal(server.images.get('captured')!.digest, server.addImage(content))
  })

  it('tells of all that it read, though batches of chunks are read at once', async () => {
    await using server = await openChunkServer()
    await using source = await openLoopDevice({ content: sampleDisk() })
    const told: number[] = []
    await readImage(await contextFor(server, source, { onProgress: (done) => told.push(done) }))
    assert.equal(told.at(-1), DISK_BYTES)
    assert.deepEqual(
      told,
      told.toSorted((a, b) => a - b),
    )
  })

  it('sends a chunk once, and none that the server has', async () => {
    await using server = await openChunkServer()
    await using source = await openLoopDevice({ content: sampleDisk() })
    await readImage(await contextFor(server, source))
    const distinct = server.chunks.size
    assert.equal(server.puts(), distinct)

    const again = await contextFor(server, source)
    await readImage(again)
    assert.equal(server.puts(), distinct)
    assert.equal(again.facts.bytesSent, 0)
  })

  it('holds the disk read-only for as long as it reads, and not longer', async () => {
    await using server = await openChunkServer()
    await using source = await openLoopDevice({ content: sampleDisk() })
    const states = new Set<string>()
    server.fault = () => {
      states.add(readOnlyFlag(source.path))
      return false
    }
    const before = await source.digest()
    await readImage(await contextFor(server, source))
    assert.deepEqual(states, new Set(['1']))
    assert.equal(readOnlyFlag(source.path), '0')
    assert.equal(await source.digest(), before)
  })

  it('notes partitions and file systems beside the image', async () => {
    await using server = await openChunkServer()
    await using source = await openLoopDevice({ sizeBytes: DISK_BYTES })
    const partition = {
      number: 1,
      path: `${source.path}p1`,
      startBytes: CHUNK_BYTES,
      sizeBytes: 8 * CHUNK_BYTES,
      type: '0x83',
      fileSystem: { type: 'ext4', label: 'root' },
    }
    const disk = {
      ...(await readDiskAt(exec, source.path)),
      partitionTable: { type: 'mbr' as const },
      partitions: [partition],
    }
    await readImage(await contextFor(server, source, { disk }))
    assert.partialDeepStrictEqual(server.images.get('captured')!.info, {
      partitionTable: 'mbr',
      partitions: [{ number: 1, fileSystem: 'ext4', label: 'root' }],
      source: 'capture of 52:54:00:12:34:56',
    })
  })

  it('goes on when the server was away in the middle', async () => {
    await using server = await openChunkServer()
    await using source = await openLoopDevice({ content: sampleDisk() })
    let requests = 0
    server.fault = (_, response) => {
      if (++requests < 5 || requests > 14) return false
      response.destroy()
      return true
    }
    await readImage(await contextFor(server, source))
    assert.ok(requests > 14)
    assert.ok(server.images.has('captured'))
  })

  it('makes no image when the run is cancelled', async () => {
    await using server = await openChunkServer()
    await using source = await openLoopDevice({ content: sampleDisk() })
    const cancel = new AbortController()
    server.fault = (request) => {
      if (request.method !== 'PUT') return false
      cancel.abort(new Error('The run was cancelled'))
      return true
    }
    const context = await contextFor(server, source, { signal: cancel.signal })
    await assert.rejects(readImage(context), /The run was cancelled/)
    assert.equal(server.images.size, 0)
    assert.equal(readOnlyFlag(source.path), '0')
  })

  it('says which chunks the server lost before the image was complete', async () => {
    await using server = await openChunkServer()
    await using source = await openLoopDevice({ content: sampleDisk() })
    server.fault = (request) => {
      if (request.url!.includes('/manifest')) server.chunks.delete([...server.chunks.keys()][0]!)
      return false
    }
    await assert.rejects(readImage(await contextFor(server, source)), ImageIncompleteError)
    assert.equal(server.images.size, 0)
  })

  for (const [what, prepare] of DELICATE_CONTENTS) {
    it(`leaves ${what} as it is`, async () => {
      await using server = await openChunkServer()
      await using source = await openLoopDevice({ sizeBytes: 64 * CHUNK_BYTES })
      await prepare(source)
      const before = await source.digest()
      await readImage(await contextFor(server, source))
      assert.equal(await source.digest(), before)
      assert.ok(server.images.has('captured'))
    })
  }
})

function readOnlyFlag(path: string): string {
  return readFileSync(`/sys/block/${path.slice('/dev/'.length)}/ro`, 'latin1').trim()
}
