import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Disk, Partition } from '#protocol/machine/inventory.ts'
import { describeLosses, describePresent, guessOperatingSystem } from '#server/runs/plan-present.ts'
import { createDisk } from '#test/support/inventory.ts'

const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b'
const MICROSOFT_RESERVED = 'e3c9e316-0b5c-4db8-817d-f92df00215ae'
const MICROSOFT_DATA = 'ebd0a0a2-b9e5-4433-87c0-68b6b72699c7'
const APPLE_APFS = '7c3457ef-0000-11aa-aa11-00306543ecac'
const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4'

type Part = [type: string, fileSystem?: string, label?: string]

function diskOf(parts: Part[], table: 'gpt' | 'mbr' = 'gpt'): Disk {
  const partitions = parts.map(([type, fileSystem, label], index): Partition => ({
    number: index + 1,
    path: `/dev/sda${index + 1}`,
    startBytes: (index + 1) * 2 ** 30,
    sizeBytes: 40_000_000_000,
    type,
    ...(fileSystem !== undefined && {
      fileSystem: { type: fileSystem, ...(label !== undefined && { label }) },
    }),
  }))
  return createDisk({ partitionTable: { type: table }, partitions })
}

describe('the operating system on a disk', () => {
  const cases: [expected: string | undefined, parts: Part[], table?: 'mbr'][] = [
    ['Windows', [[ESP, 'vfat'], [MICROSOFT_RESERVED], [MICROSOFT_DATA, 'ntfs']]],
    ['Windows', [['0x07', 'ntfs', 'System']], 'mbr'],
    [
      'Windows (BitLocker)',
      [
        [ESP, 'vfat'],
        [MICROSOFT_DATA, 'BitLocker'],
      ],
    ],
    [undefined, [[MICROSOFT_DATA, 'ntfs', 'Backup']]],
    ['macOS', [[ESP, 'vfat'], [APPLE_APFS]]],
    [
      'Linux',
      [
        [ESP, 'vfat'],
        [LINUX, 'ext4', 'root'],
      ],
    ],
    ['Linux', [[LINUX, 'btrfs']]],
    [
      'Linux (LVM)',
      [
        [ESP, 'vfat'],
        [LINUX, 'ext4'],
        [LINUX, 'LVM2_member'],
      ],
    ],
    [
      'Linux (LVM, encrypted)',
      [
        [LINUX, 'LVM2_member'],
        [LINUX, 'crypto_LUKS'],
      ],
    ],
    ['Windows and Linux', [[MICROSOFT_RESERVED], [MICROSOFT_DATA, 'ntfs'], [LINUX, 'xfs']]],
    [undefined, [[ESP, 'vfat']]],
    [undefined, []],
  ]
  for (const [expected, parts, table] of cases)
    it(`is ${expected ?? 'not known'} for ${JSON.stringify(parts)}`, () => {
      assert.equal(guessOperatingSystem(diskOf(parts, table)), expected)
    })
})

describe('what is lost', () => {
  it('is told partition by partition, after the system that they are', () => {
    const disk = diskOf([[ESP, 'vfat'], [LINUX, 'ext4', 'data'], [MICROSOFT_RESERVED]])
    assert.deepEqual(describeLosses(disk), [
      'What may be an installed Linux',
      'Partition 1: vfat, 40.0 GB (EFI system partition)',
      'Partition 2: ext4 "data", 40.0 GB',
      'Partition 3: no known file system, 40.0 GB (Microsoft reserved)',
    ])
    assert.equal(describePresent(disk).operatingSystem, 'Linux')
    assert.deepEqual(describePresent(disk).partitions, disk.partitions)
  })

  it('may be a file system without a table', () => {
    const disk = createDisk({ fileSystem: { type: 'xfs', label: 'scratch' } })
    assert.deepEqual(describeLosses(disk), ['xfs "scratch" on the whole disk, 21.5 GB'])
  })

  it('is told of as not known where the beginning of the disk cannot be read', () => {
    const layoutError = 'its beginning cannot be read: EIO'
    const disk = createDisk({ layoutError })
    assert.deepEqual(describeLosses(disk), [
      'What is on the disk is not known: its beginning cannot be read: EIO',
    ])
    assert.equal(describePresent(disk).layoutError, layoutError)
  })

  it('is never called nothing, since a disk may hold what nobody recognises', () => {
    assert.match(
      describeLosses(createDisk())[0] ?? '',
      /no partition table and no file system; other data may/,
    )
    assert.match(describeLosses(diskOf([]))[0] ?? '', /an empty GPT and no file system/)
  })
})
