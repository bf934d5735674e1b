import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { Value } from 'typebox/value'
import { exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { readImage } from '#agent/steps/read-image.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { ImageInfoSchema, type ImageInfo } from '#protocol/image/image-info.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { decodeGpt } from '#protocol/disk/gpt.ts'
import { DiskSchema } from '#protocol/machine/inventory.ts'
import { openChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { createTestContext } from '#test/support/step-context.ts'

const ENTRIES = 256
const PARTITIONS = 136

interface OddDisk {
  sizeBytes: number
  sectorBytes?: 512 | 4096
  make: (disk: LoopDevice) => Promise<void>
  check?: (content: Buffer, info: ImageInfo) => void
}

/** More partitions than a table of the usual size has places for. */
async function makePartitions({ path }: LoopDevice): Promise<void> {
  const line = (index: number) => `start=${2048 + index * 64}, size=64, name=p${index}\n`
  const lines = Array.from({ length: PARTITIONS }, (_, index) => line(index))
  const header = `label: gpt\ntable-length: ${ENTRIES}\nfirst-lba: 128\n`
  await exec('sfdisk', ['--quiet', '--no-reread', path], { input: header + lines.join('') })
}

const ODD_DISKS: Record<string, OddDisk> = {
  'of an odd number of sectors': {
    sizeBytes: 13 * CHUNK_BYTES + 77 * 512,
    make: async ({ path }) => {
      const input = 'label: gpt\nstart=2048, size=8192\n'
      await exec('sfdisk', ['--quiet', '--no-reread', path], { input })
    },
    check: (content) => {
      const { alternateLba } = decodeGpt(content, 512)
      assert.equal(alternateLba, content.length / 512 - 1)
    },
  },
  'with sectors of 4,096 bytes': {
    sizeBytes: 13 * CHUNK_BYTES + 3 * 4096,
    sectorBytes: 4096,
    make: async ({ path }) => {
      const input = 'label: gpt\nstart=256, size=1024\n'
      await exec('sfdisk', ['--quiet', '--no-reread', path], { input })
    },
    check: (content, { partitions }) => {
      assert.equal(decodeGpt(content, 4096).partitions.length, 1)
      assert.equal(partitions?.[0]?.startBytes, CHUNK_BYTES)
    },
  },
  'with more partitions than usual tables have places': {
    sizeBytes: 16 * CHUNK_BYTES,
    make: makePartitions,
    check: (content, { partitions }) => {
      const gpt = decodeGpt(content, 512)
      assert.equal(gpt.entries.length, ENTRIES * 128)
      assert.equal(gpt.partitions.length, PARTITIONS)
      assert.equal(partitions?.length, PARTITIONS)
    },
  },
  'without a partition table, a file system on all of it': {
    sizeBytes: 24 * CHUNK_BYTES + 512,
    make: async ({ path }) => {
      await exec('mkfs.ext4', ['-q', '-F', path])
    },
    check: (_, info) => {
      assert.equal(info.partitionTable, 'none')
      assert.deepEqual(info.partitions, [])
    },
  },
}

describe('a disk', { skip: NEEDS_ROOT }, () => {
  for (const [what, { sizeBytes, sectorBytes, make, check }] of Object.entries(ODD_DISKS)) {
    it(`${what} is inventoried, captured, and deployed to its like`, async () => {
      await using server = await openChunkServer()
      const shape = { content: randomBytes(sizeBytes), ...(sectorBytes && { sectorBytes }) }
      await using source = await openLoopDevice(shape)
      await make(source)
      const disk = await readDiskAt(exec, source.path)
      assert.ok(Value.Check(DiskSchema, disk))
      assert.equal(disk.sectorBytes, sectorBytes ?? 512)
      const common = { serverUrl: server.url }
      const options = { wholeDisk: true }
      const capture = createTestContext({
        ...common,
        workflow: 'capture',
        image: { name: 'odd' },
        disk,
        options,
      })
      await readImage(capture)

      const { digest, info } = server.images.get('odd')!
      assert.ok(Value.Check(ImageInfoSchema, info))
      check?.(await source.content(), info)
      await using target = await openLoopDevice({ ...shape, content: randomBytes(sizeBytes) })
      const deploy = createTestContext({
        ...common,
        image: { name: 'odd', digest },
        disk: await readDiskAt(exec, target.path),
      })
      await writeImage(deploy)
      assert.equal(await target.digest(), await source.digest())
      assert.equal(deploy.facts.imageVerified, true)
    })
  }
})
