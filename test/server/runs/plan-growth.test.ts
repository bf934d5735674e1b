import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ImageInfo, ImagePartition } from '#protocol/image/image-info.ts'
import { predictGrowth } from '#server/runs/plan-growth.ts'

const MIB = 1024 ** 2
const DISK_BYTES = 1000 * MIB

const ESP = { number: 1, type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b', fileSystem: 'vfat' }
const RESERVED = { number: 2, type: 'e3c9e316-0b5c-4db8-817d-f92df00215ae' }
const WINDOWS = { number: 3, type: 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7', fileSystem: 'ntfs' }
const RECOVERY = { number: 4, type: 'DE94BBA4-06D1-4D40-A16A-BFD50179D6AC', fileSystem: 'ntfs' }

type Part = Omit<ImagePartition, 'startBytes' | 'sizeBytes'>

/** Of 100 MiB each. */
function predict(parts: readonly Part[], info: ImageInfo = {}) {
  const partitions = parts.map((part, at) => ({
    ...part,
    startBytes: (1 + 100 * at) * MIB,
    sizeBytes: 100 * MIB,
  }))
  return predictGrowth({ partitionTable: 'gpt', partitions, ...info }, 512, DISK_BYTES)
}

describe('the growth of a Windows, as a plan has it', () => {
  const grows = {
    kind: 'grows',
    partition: 3,
    fromBytes: 100 * MIB,
    toBytes: (DISK_BYTES / MIB - 202) * MIB,
  }

  it('is that of the partition that its capture noted', () => {
    const info = { operatingSystem: 'Windows', rootPartition: 3 }
    assert.deepEqual(predict([ESP, { ...WINDOWS, number: 2 }, WINDOWS], info), grows)
  })

  it('is that of the only NTFS of an image that nobody looked into', () => {
    assert.deepEqual(predict([ESP, RESERVED, WINDOWS]), grows)
  })

  it('does not count its recovery, which keeps it from growing where it lies behind it', () => {
    assert.deepEqual(predict([ESP, RECOVERY, WINDOWS]), grows)
    const { kind, reason } = predict([ESP, RESERVED, WINDOWS, RECOVERY]) as {
      [key: string]: string
    }
    assert.equal(kind, 'stays')
    assert.match(reason!, /partition 3 is not the last partition: partition 4 lies behind it/)
  })

  it('is unsure with two of them, and none beside another system', () => {
    const unsure = (parts: readonly Part[], info?: ImageInfo): string => {
      const growth = predict(parts, info)
      return growth.kind === 'stays' ? growth.reason : growth.kind
    }
    const other = { ...WINDOWS, number: 2 }
    assert.match(unsure([ESP, other, WINDOWS]), /which of the partitions 2 and 3/)
    const named = { operatingSystem: 'Haiku' }
    assert.match(unsure([ESP, WINDOWS], named), /root of a Linux, or like a Windows/)
    const linux = { number: 2, type: '0fc63daf-8483-4772-8e79-3d69d8477de4', fileSystem: 'ext4' }
    assert.match(unsure([ESP, linux, WINDOWS]), /partition 2 is not the last partition/)
  })
})
