import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, open, readFile, rm, symlink, writeFile, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { diskName, isDiskOfMachine, readDiskAt, readDisks } from '#agent/inventory/disks.ts'
import { takeInventory } from '#agent/inventory/inventory.ts'
import { InventorySchema, type Disk } from '#protocol/machine/inventory.ts'
import { Value } from 'typebox/value'
import { DELICATE_CONTENTS } from '#test/support/delicate-disks.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { openLoopDisk } from '../system/loop-disk.ts'

const MIB = 1024 * 1024
const DISK_BYTES = 96 * MIB

const GPT_SCRIPT = `\
label: gpt
label-id: 11111111-2222-4333-8444-555555555555
start=2048, size=32768, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI", uuid=AAAAAAAA-0000-4000-8000-000000000001
start=34816, size=131072, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="root", uuid=AAAAAAAA-0000-4000-8000-000000000002
`
const MBR_SCRIPT = `\
label: dos
label-id: 0xdeadbeef
start=2048, size=32768, type=83
start=34816, size=131072, type=5
start=36864, size=65536, type=83
`

async function inventoryOf(disk: LoopDevice): Promise<Disk> {
  const disks = await readDisks(exec, [disk.path])
  return disks.find(({ path }) => path === disk.path)!
}

async function partition(disk: LoopDevice, script: string): Promise<void> {
  await exec('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', disk.path], { input: script })
}

async function formatAt(disk: LoopDevice, startBytes: number, label: string): Promise<void> {
  const uuid = '99999999-8888-4777-8666-555555555555'
  const place = `offset=${startBytes}`
  await exec('mkfs.ext4', ['-q', '-F', '-E', place, '-L', label, '-U', uuid, disk.path, '32M'])
}

describe('readDisks', { skip: NEEDS_ROOT }, () => {
  it('lists loop devices only when they are asked for', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    assert.ok(!(await readDisks(exec)).some(({ path }) => path.startsWith('/dev/loop')))
    const found = await inventoryOf(disk)
    assert.partialDeepStrictEqual(found, {
      path: disk.path,
      sizeBytes: DISK_BYTES,
      sectorBytes: 512,
      readOnly: false,
      transport: 'loop',
      partitionTable: { type: 'none' },
    })
    assert.deepEqual(found.partitions, [])
  })

  it('reads a GPT and the file systems in it, with no partition nodes there', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    await partition(disk, GPT_SCRIPT)
    await formatAt(disk, 34816 * 512, 'system')
    assert.partialDeepStrictEqual(await inventoryOf(disk), {
      partitionTable: { type: 'gpt', uuid: '11111111-2222-4333-8444-555555555555' },
      partitions: [
        { number: 1, path: `${disk.path}p1`, startBytes: 2048 * 512, sizeBytes: 16 * MIB },
        {
          number: 2,
          path: `${disk.path}p2`,
          startBytes: 34816 * 512,
          sizeBytes: 64 * MIB,
          type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
          uuid: 'aaaaaaaa-0000-4000-8000-000000000002',
          name: 'root',
          fileSystem: {
            type: 'ext4',
            label: 'system',
            uuid: '99999999-8888-4777-8666-555555555555',
          },
        },
      ],
    })
  })

  it('reads an MBR, and logical partitions where the kernel has found them', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    await partition(disk, MBR_SCRIPT)
    assert.deepEqual(
      (await inventoryOf(disk)).partitions.map(({ number }) => number),
      [1, 2],
    )

    await exec('partx', ['--add', disk.path])
    const { partitionTable, partitions } = await inventoryOf(disk)
    await exec('partx', ['--delete', disk.path])
    assert.deepEqual(partitionTable, { type: 'mbr', uuid: 'deadbeef' })
    assert.partialDeepStrictEqual(partitions, [
      { number: 1, type: '0x83', uuid: 'deadbeef-01' },
      { number: 2, type: '0x05' },
      { number: 5, startBytes: 36864 * 512, sizeBytes: 32 * MIB },
    ])
  })

  it('finds a file system on the whole disk', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    await exec('mkfs.ext4', ['-q', '-F', '-L', 'data', disk.path])
    assert.partialDeepStrictEqual(await inventoryOf(disk), {
      partitionTable: { type: 'none' },
      fileSystem: { type: 'ext4', label: 'data' },
    })
  })

  it('sees what was written through a partition, though the disk was read before and is held open', async () => {
    await using disk = await openLoopDisk(DISK_BYTES)
    await disk.sfdisk('label: gpt\nstart=2048\n')
    await using held = await open(disk.path, 'r')
    await held.read(Buffer.alloc(MIB), 0, MIB, MIB)
    await disk.format(1, 'ext4', ['-q'])
    const found = await readDiskAt(exec, disk.path)
    assert.equal(found.partitions[0]?.fileSystem?.type, 'ext4')
  })

  it('has one fingerprint for one layout, and another for another', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    await using twin = await openLoopDevice({ sizeBytes: 2 * DISK_BYTES })
    for (const one of [disk, twin]) {
      await partition(one, MBR_SCRIPT)
      await formatAt(one, 2048 * 512, 'one')
    }
    const before = (await inventoryOf(disk)).fingerprint
    assert.equal((await inventoryOf(twin)).fingerprint, before)
    await formatAt(disk, 2048 * 512, 'two')
    assert.notEqual((await inventoryOf(disk)).fingerprint, before)
  })

  it('survives a disk of noise and one with a damaged GPT', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    await partition(disk, GPT_SCRIPT)
    await using file = await open(disk.path, 'r+')
    await file.write(Buffer.alloc(32, 0xff), 0, 32, 512 + 40)
    await file.sync()
    const damage = 'its partition table is damaged: The checksum of the GPT header is wrong'
    await using noise = await openLoopDevice({ content: randomBytes(MIB) })
    for (const [each, error] of [
      [disk, damage],
      [noise, undefined],
    ] as const) {
      const { partitions: none, layoutError } = await inventoryOf(each)
      assert.deepEqual([none, layoutError], [[], error])
    }
  })

  it('says that it is not known what is on a disk whose beginning cannot be read', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    // To read behind the end of its file is an error of the device.
    await truncate(disk.file, 0)
    const { partitions, layoutError } = await inventoryOf(disk)
    assert.deepEqual([partitions, layoutError], [[], 'its beginning cannot be read: EIO'])
  })

  it('finds a disk in use that is mounted through a loop device, which no exclusive open notices', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    const { stdout } = await exec('losetup', ['--find', '--show', disk.path])
    const upper = stdout.trim()
    try {
      assert.equal((await inventoryOf(disk)).busy, `${upper} leads to ${disk.path}`)
    } finally {
      await exec('losetup', ['--detach', upper])
    }
    assert.equal((await inventoryOf(disk)).busy, undefined)
  })

  it('names whole disks only', async () => {
    await assert.rejects(diskName('/dev/null'), /is no disk/)
  })

  it('goes by the device, not by what its path is called', async () => {
    await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
    const name = basename(disk.path)
    const folder = await mkdtemp(join(tmpdir(), 'stampede-names-'))
    try {
      await writeFile(join(folder, name), 'a copy of that disk, say')
      await assert.rejects(diskName(join(folder, name)), /is no disk/)
      await symlink(disk.path, join(folder, 'by-id'))
      assert.equal(await diskName(join(folder, 'by-id')), name)
      const numbers = (await readFile(`/sys/block/${name}/dev`, 'utf8')).trim().split(':')
      await exec('mknod', [join(folder, 'sda'), 'b', ...numbers])
      assert.equal(await diskName(join(folder, 'sda')), name)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

it('takes no path to a disk for one more disk', () => {
  const names = ['sda', 'vda', 'nvme0n1', 'nvme10n2', 'mmcblk0', 'xvda', 'cciss!c0d0']
  assert.deepEqual(names.filter(isDiskOfMachine), names)
  for (const name of ['nvme0c0n1', 'nvme0c12n1', 'mmcblk0boot0', 'loop0', 'dm-1', 'sr0'])
    assert.equal(isDiskOfMachine(name), false, name)
})

describe('takeInventory', { skip: NEEDS_ROOT }, () => {
  it('fits its schema', async () => {
    const inventory = await takeInventory(exec)
    assert.deepEqual(Value.Errors(InventorySchema, inventory), [])
    assert.ok(inventory.memoryBytes > 0)
    assert.ok(inventory.cpu.threads > 0)
  })

  for (const [what, prepare] of DELICATE_CONTENTS) {
    it(`leaves ${what} as it is, and nothing built on it`, async () => {
      await using disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
      await prepare(disk)
      const before = await disk.digest()
      const inventory = await takeInventory(exec, { disks: [disk.path] })
      const found = inventory.disks.find(({ path }) => path === disk.path)!
      assert.ok(found.fileSystem)
      assert.equal(found.busy, undefined)
      assert.equal(await disk.digest(), before)
    })
  }
})
