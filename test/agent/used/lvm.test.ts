import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { openMount } from '#agent/system/mount.ts'
import { IS_ROOT, mib, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { installProgram, writeTinySystem } from '#test/agent/system/tiny-system.ts'
import { NEEDS_ROOT, fileDigest } from '#test/support/loop-device.ts'
import { openCapturedDisk, type CapturedDisk } from './captured-disk.ts'
import { openExtents, type ExtentPlace } from './extent-device.ts'

const PV_BYTES = mib(128)
/** In extents of 4 MiB: where the commands below place them. Some go on on the second partition. */
const SWAP: ExtentPlace[] = [{ partition: 1, start: 0, end: 4 }]
const ROOT: ExtentPlace[] = [
  { partition: 1, start: 4, end: 14 },
  { partition: 1, start: 18, end: 22 },
  { partition: 2, start: 0, end: 4 },
]
const NOISE: ExtentPlace[] = [{ partition: 1, start: 14, end: 18 }]
/** Four extents on each, 64 KiB at a time. */
const STRIPE_BYTES = 65_536
const STRIPED: ExtentPlace[] = [
  { partition: 1, start: 22, end: 26 },
  { partition: 2, start: 4, end: 8 },
]

describe('a capture of logical volumes', { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  let disk: CapturedDisk
  before(async () => {
    disk = await openCapturedDisk({
      partitions: [PV_BYTES, mib(40)],
      sizeBytes: PV_BYTES + mib(42),
      prepare,
    })
  })
  after(() => disk?.[Symbol.asyncDispose]())

  it('leaves the disk as it was', () => assert.ok(disk.isUntouched))

  for (const [what, places, stripeBytes] of [
    ['in three pieces on two partitions', ROOT, undefined],
    ['in stripes', STRIPED, STRIPE_BYTES],
  ] as const) {
    it(`brings the files of a volume ${what}, and a sound file system`, async () => {
      await using after = await openExtents(disk.target, places, stripeBytes)
      await exec('e2fsck', ['-f', '-n', after.path])
      await using mount = await openMount(exec, {
        device: after.path,
        fileSystem: 'ext4',
        mode: 'ro',
      })
      await using before = await openExtents(disk.source, places, stripeBytes)
      const request = { device: before.path, fileSystem: 'ext4', mode: 'look' as const }
      await using mounted = await openMount(exec, request)
      await exec('diff', ['-r', mount.path, mounted.path])
    })
  }

  it('does not read what volumes and groups have free', () => {
    // Most of swap, root and what is in no volume.
    assert.ok(disk.context.facts.bytesUnused! > mib(60), String(disk.context.facts.bytesUnused))
  })

  it('copies a volume whole that has no known file system, and says so', async () => {
    assert.deepEqual(disk.info.copiedWhole, [
      { partition: 1, reason: 'Volume test-group/noise: no known file system is there' },
    ])
    await using before = await openExtents(disk.source, NOISE)
    await using after = await openExtents(disk.target, NOISE)
    assert.equal(await fileDigest(after.path), await fileDigest(before.path))
  })

  it('leaves swap out, and keeps what LVM needs', async () => {
    const bytes = mib(16) - 4096
    assert.deepEqual(disk.info.leftOut, [
      { partition: 1, what: 'swap space of volume test-group/swap', bytes },
    ])
    const devices = `${disk.target.partition(1)},${disk.target.partition(2)}`
    const args = ['--devices', devices, '--readonly', '--noheadings']
    const { stdout } = await exec('lvm', ['lvs', ...args, '-o', 'lv_name'])
    assert.deepEqual(stdout.trim().split(/\s+/).toSorted(), ['noise', 'root', 'striped', 'swap'])
  })

  it('tells which system it found, and where', () => {
    assert.partialDeepStrictEqual(disk.info, {
      operatingSystem: 'Tiny Linux',
      rootVolume: '/dev/test-group/root',
      architecture: 'x86_64',
    })
    assert.equal(disk.info.rootPartition, undefined)
  })
})

/** No volume is activated: not every kernel here has a device-mapper. */
async function prepare(disk: LoopDisk): Promise<void> {
  const devices = [disk.partition(1), disk.partition(2)]
  // What the volumes and the free extents hold, for a mistake to show.
  await writeFile(devices[0]!, randomBytes(PV_BYTES), { flag: 'r+' })
  await writeFile(devices[1]!, randomBytes(mib(40)), { flag: 'r+' })
  const scope = ['--driverloaded', 'n', '--devices', devices.join(',')]
  const create = ['--activate', 'n', '--zero', 'n', '--wipesignatures', 'n']
  const lvm = (command: string, ...args: string[]) => exec('lvm', [command, ...scope, ...args])
  const [first, second] = devices as [string, string]
  const make = (name: string, extents: number, ...args: string[]) =>
    lvm('lvcreate', ...create, '--extents', String(extents), '--name', name, 'test-group', ...args)
  await lvm('pvcreate', '--yes', ...devices)
  await lvm('vgcreate', 'test-group', ...devices)
  await make('swap', 4, first)
  await make('root', 10, first)
  await make('noise', 4, first)
  await lvm('lvextend', '--extents', '+4', 'test-group/root', first)
  await lvm('lvextend', '--extents', '+4', 'test-group/root', second)
  await make('striped', 8, '--stripes', '2', '--stripesize', '64k', first, second)

  await using root = await openExtents(disk, ROOT)
  await exec('mkfs.ext4', ['-q', '-F', root.path])
  {
    await using mount = await openMount(exec, { device: root.path, fileSystem: 'ext4', mode: 'rw' })
    await writeTinySystem(mount.path)
    await installProgram(mount.path, 'env')
    await exec('cp', [join(mount.path, 'usr/sbin/env'), join(mount.path, 'usr/sbin/init')])
    await exec('ln', ['-s', 'usr/sbin', join(mount.path, 'sbin')])
    for (let number = 0; number < 8; number++)
      await writeFile(join(mount.path, `data-${number}`), randomBytes(mib(3)))
  }
  await using swap = await openExtents(disk, SWAP)
  await exec('mkswap', [swap.path])
  await using striped = await openExtents(disk, STRIPED, STRIPE_BYTES)
  await exec('mkfs.ext4', ['-q', '-F', striped.path])
  const request = { device: striped.path, fileSystem: 'ext4', mode: 'rw' as const }
  await using mount = await openMount(exec, request)
  await writeFile(join(mount.path, 'data'), randomBytes(mib(5) + 123))
}
