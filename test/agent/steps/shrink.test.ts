import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { exec } from '#agent/exec.ts'
import { checkMachine } from '#agent/steps/check-machine.ts'
import { compareDiskStep } from '#agent/steps/compare-disk.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import type { NamedImage } from '#agent/verify/receipt-file.ts'
import { verifyDisk } from '#agent/verify/verify-command.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { decodeGpt } from '#protocol/disk/gpt.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { openChunkServer, type ChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { createTestContext, type TestContextOptions } from '#test/support/step-context.ts'

const IMAGE_BYTES = 48 * CHUNK_BYTES
const PARTITION_MIB = { first: 1, last: 20 }
/** Ends in the middle of a chunk and of a page. */
const ODD_BYTES = 22 * CHUNK_BYTES + 77 * 512

interface Source {
  table: 'gpt' | 'dos' | 'none'
  /** Changes the table afterwards. */
  spoil?: (disk: Buffer) => void
  sectorBytes?: 512 | 4096
}

/** A disk with one partition of 19 MiB, and random content all over. */
async function makeDisk({ table, sectorBytes = 512, spoil }: Source): Promise<Buffer> {
  await using disk = await openLoopDevice({ content: randomBytes(IMAGE_BYTES), sectorBytes })
  if (table === 'none') return await disk.content()
  const perMib = CHUNK_BYTES / sectorBytes
  const first = PARTITION_MIB.first * perMib
  const sectors = (PARTITION_MIB.last - PARTITION_MIB.first) * perMib
  const type = table === 'gpt' ? 'L' : '83'
  const script = `label: ${table}\nstart=${first}, size=${sectors}, type=${type}\n`
  await exec('sfdisk', ['--quiet', '--no-reread', '--wipe', 'never', disk.path], { input: script })
  const content = await disk.content()
  spoil?.(content)
  return content
}

function wipePrimary(disk: Buffer): void {
  disk.fill(0, 512, 34 * 512)
  // The first sectors only, as in a hybrid MBR.
  disk.writeUInt32LE(2047, 446 + 12)
}

function addHybridPartition(disk: Buffer): void {
  disk[446 + 16 + 4] = 0x0c
  disk.writeUInt32LE((30 * CHUNK_BYTES) / 512, 446 + 16 + 8)
  disk.writeUInt32LE((4 * CHUNK_BYTES) / 512, 446 + 16 + 12)
}

async function contextFor(
  server: ChunkServer,
  target: LoopDevice,
  digest: TestContextOptions['image'],
  { allowShrink = true }: { allowShrink?: boolean } = {},
) {
  return createTestContext({
    serverUrl: server.url,
    image: digest!,
    disk: await readDiskAt(exec, target.path),
    options: { disk: { path: target.path }, allowShrink, force: true },
  })
}

describe('a deployment to a disk that is smaller than the image', { skip: NEEDS_ROOT }, () => {
  for (const { sectorBytes, sizeBytes } of [
    { sectorBytes: 512, sizeBytes: ODD_BYTES },
    { sectorBytes: 512, sizeBytes: 21 * CHUNK_BYTES },
    { sectorBytes: 4096, sizeBytes: 22 * CHUNK_BYTES + 3 * 4096 },
  ] as const) {
    it(`moves the backup GPT to its end: ${sizeBytes} bytes, sectors of ${sectorBytes}`, async () => {
      await using server = await openChunkServer()
      const content = await makeDisk({ table: 'gpt', sectorBytes })
      const image = { name: 'large', digest: server.addImage(content, { sectorBytes }) }
      await using target = await openLoopDevice({ content: randomBytes(sizeBytes), sectorBytes })
      const context = await contextFor(server, target, image)
      await checkMachine(context)
      await writeImage(context)

      const written = await target.content()
      const partition = [
        PARTITION_MIB.first * CHUNK_BYTES,
        PARTITION_MIB.last * CHUNK_BYTES,
      ] as const
      assert.ok(written.subarray(...partition).equals(content.subarray(...partition)))
      const gpt = decodeGpt(written, sectorBytes)
      assert.equal(gpt.alternateLba, sizeBytes / sectorBytes - 1)
      assert.deepEqual(gpt.partitions, decodeGpt(content, sectorBytes).partitions)
      const { stdout } = await exec('sgdisk', ['--verify', target.path])
      assert.match(stdout, /No problems found/)

      const { imageDigest, imageVerified, shrunk } = context.facts
      assert.deepEqual([imageDigest, imageVerified], [image.digest, true])
      assert.partialDeepStrictEqual(shrunk, { imageBytes: IMAGE_BYTES, diskBytes: sizeBytes })
      assert.equal(shrunk!.writtenDigest, server.addImage(written, { sectorBytes }))
      assert.match(context.warnings.join(), /was cut to the disk's/)

      const cut = { diskBytes: sizeBytes, digest: parseSha256(shrunk!.writtenDigest) }
      const verify = (named: NamedImage) =>
        verifyDisk(context.disk, named, context.chunks, context.signal)
      assert.equal((await verify({ digest: image.digest, cut })).matches, true)
      // A deploy cuts it always in the same way, so a disk of this size is to hold just that.
      assert.equal((await verify({ digest: image.digest })).matches, true)
      await compareDiskStep(context)
      assert.equal(context.facts.comparison?.matches, true)
      const other = { ...cut, digest: image.digest }
      await assert.rejects(verify({ digest: image.digest, cut: other }), /does not become/)
    })
  }

  it('leaves an MBR as it is', async () => {
    await using server = await openChunkServer()
    const content = await makeDisk({ table: 'dos' })
    const image = { name: 'large', digest: server.addImage(content) }
    await using target = await openLoopDevice({ content: randomBytes(ODD_BYTES) })
    const context = await contextFor(server, target, image)
    await checkMachine(context)
    await writeImage(context)
    assert.ok((await target.content()).equals(content.subarray(0, ODD_BYTES)))
    assert.equal(context.facts.imageVerified, true)
  })

  for (const [what, source, sizeBytes, allowShrink, reason] of [
    [
      'unless the run allows it',
      { table: 'gpt' },
      ODD_BYTES,
      false,
      /ends at byte 20971520, so allow the run to cut it \(allowShrink\)/,
    ],
    [
      'where a partition ends behind it',
      { table: 'dos' },
      19 * CHUNK_BYTES,
      true,
      /its last partition ends at byte 20971520; choose/,
    ],
    [
      'where the backup GPT has no room',
      { table: 'gpt' },
      20 * CHUNK_BYTES + 512,
      true,
      /its backup GPT takes 16896 bytes more/,
    ],
    [
      'where the GPT is gone, though a backup may be left',
      { table: 'gpt', spoil: wipePrimary },
      ODD_BYTES,
      true,
      /stands for a GPT, and there is none/,
    ],
    [
      'where a partition that only the MBR lists ends behind it',
      { table: 'gpt', spoil: addHybridPartition },
      ODD_BYTES,
      true,
      /its last partition ends at byte 35651584/,
    ],
    [
      'where volumes of a dynamic disk are described at its end',
      { table: 'dos', spoil: (disk) => disk.writeUInt8(0x42, 446 + 4) },
      ODD_BYTES,
      true,
      /dynamic disk \(Logical Disk Manager\)/,
    ],
    [
      'where nothing says what may be cut',
      { table: 'none' },
      ODD_BYTES,
      true,
      /no partition table/,
    ],
  ] as [string, Source, number, boolean, RegExp][]) {
    it(`does not happen ${what}, and touches nothing`, async () => {
      await using server = await openChunkServer()
      const content = await makeDisk(source)
      const image = { name: 'large', digest: server.addImage(content) }
      await using target = await openLoopDevice({ content: randomBytes(sizeBytes) })
      const before = await target.digest()
      const context = await contextFor(server, target, image, { allowShrink })
      await assert.rejects(checkMachine(context), (err: Error) => {
        assert.match(err.message, /is 50.3 MB \(50331648 bytes\) but disk/)
        assert.match(err.message, reason)
        return true
      })
      // Nor by the step that writes, should the disk be another than was checked.
      await assert.rejects(writeImage(context))
      assert.equal(await target.digest(), before)
    })
  }
})
