import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { openMount } from '#agent/system/mount.ts'
import { parseSegments } from '#agent/used/physical-volume.ts'
import { IS_ROOT, mib, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { installProgram, writeTinySystem } from '#test/agent/system/tiny-system.ts'
import { NEEDS_ROOT, fileDigest } from '#test/support/loop-device.ts'
import { openCapturedDisk, type CapturedDisk } from './captured-disk.ts'

const PV_BYTES = mib(200)
const EXTENT_BYTES = mib(4)
/** LVM's own metadata lies before the first extent. */
const FIRST_EXTENT = mib(1)
/** In extents: where each lies, as the commands below place them. */
const ROOT = { start: 0, end: 16 }
const SPLIT = [
  { start: 20, end: 22 },
  { start: 24, end: 26 },
]

describe('a capture of logical volumes', { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  let disk: CapturedDisk
  before(async () => {
    disk = await openCapturedDisk({
      partitions: [PV_BYTES],
      sizeBytes: PV_BYTES + mib(2),
      prepare,
    })
  })
  after(() => disk?.[Symbol.asyncDispose]())

  it('leaves the disk as it was', () => assert.ok(disk.isUntouched))

  it('brings the files of a volume in one piece, without its free space', async () => {
    await using root = await openPart(disk.target, ROOT)
    await exec('e2fsck', ['-f', '-n', root.path])
    await using mount = await openMount(exec, { device: root.path, fileSystem: 'ext4', mode: 'ro' })
    await using original = await openPart(disk.source, ROOT)
    const request = { device: original.path, fileSystem: 'ext4', mode: 'look' as const }
    await using mountedOriginal = await openMount(exec, request)
    await exec('diff', ['-r', mount.path, mountedOriginal.path])
    assert.ok(disk.context.facts.bytesUnused! > mib(100))
  })

  it('copies a volume in two pieces whole, and says so', async () => {
    assert.deepEqual(disk.info.copiedWhole, [
      { partition: 1, reason: 'Volume test-group/split: it lies in 2 pieces' },
    ])
    for (const part of SPLIT) {
      await using before = await openPart(disk.source, part)
      await using after = await openPart(disk.target, part)
      assert.equal(await fileDigest(after.path), await fileDigest(before.path))
    }
  })

  it('leaves swap out, and keeps what LVM needs', async () => {
    assert.deepEqual(disk.info.leftOut, [
      {
        partition: 1,
        what: 'swap space of volume test-group/swap',
        bytes: 4 * EXTENT_BYTES - 4096,
      },
    ])
    const args = ['--devices', disk.target.partition(1), '--readonly', '--noheadings']
    const { stdout } = await exec('lvm', ['lvs', ...args, '-o', 'lv_name'])
    assert.deepEqual(stdout.trim().split(/\s+/), ['root', 'split', 'swap', 'wedge'])
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

describe('segments of a physical volume', () => {
  const row = {
    vg_name: 'g',
    vg_extent_size: '4194304',
    pe_start: '1048576',
    pvseg_start: '0',
    pvseg_size: '4',
    segtype: 'linear',
    lv_name: 'v',
    lv_size: '16777216',
    lv_role: 'public',
    lv_layout: 'linear',
    seg_start_pe: '0',
  }
  const parse = (...rows: object[]) =>
    parseSegments(JSON.stringify({ report: [{ pvseg: rows }] }), mib(100))

  it('are one piece where they follow each other', () => {
    const next = { ...row, pvseg_start: '4', seg_start_pe: '4' }
    const [volume] = parse(...[row, next].map((one) => ({ ...one, lv_size: '33554432' }))).volumes
    assert.deepEqual(volume!.span, { start: mib(1), end: mib(33) })
  })

  for (const [what, change] of [
    ['a volume with snapshots', { lv_role: 'public,origin,thickorigin' }],
    ['a pool', { lv_layout: 'thin,pool', segtype: 'linear', lv_role: 'private' }],
    ['a volume that goes on elsewhere', { lv_size: '33554432' }],
  ] as const) {
    it(`are no place to look into: ${what}`, () => {
      const [volume] = parse({ ...row, ...change }).volumes
      assert.equal(volume!.span, undefined)
      assert.ok(volume!.reason)
    })
  }

  it('are refused beyond the end of their partition', () => {
    assert.throws(() => parse({ ...row, pvseg_start: '90' }), /up to byte/)
  })

  it('are none where a physical volume is in no group', () => {
    const lonely = { ...row, vg_name: '', segtype: 'free', vg_extent_size: '0', pvseg_size: '0' }
    assert.deepEqual(parse({ ...lonely, lv_name: '' }), { free: [], volumes: [] })
  })
})

/** No volume is activated: not every kernel here has a device-mapper. */
async function prepare(disk: LoopDisk): Promise<void> {
  const device = disk.partition(1)
  // What the volumes and the free extents hold, for a mistake to show.
  await writeFile(device, randomBytes(PV_BYTES), { flag: 'r+' })
  const scope = ['--driverloaded', 'n', '--devices', device]
  const create = ['--activate', 'n', '--zero', 'n', '--wipesignatures', 'n']
  const lvm = (command: string, ...args: string[]) => exec('lvm', [command, ...scope, ...args])
  await lvm('pvcreate', '--yes', device)
  await lvm('vgcreate', 'test-group', device)
  for (const [name, extents] of [
    ['root', 16],
    ['swap', 4],
    ['split', 2],
    ['wedge', 2],
  ] as const)
    await lvm('lvcreate', ...create, '--extents', String(extents), '--name', name, 'test-group')
  await lvm('lvextend', '--extents', '+2', 'test-group/split')

  await using root = await openPart(disk, ROOT)
  await exec('mkfs.ext4', ['-q', '-F', root.path])
  {
    await using mount = await openMount(exec, { device: root.path, fileSystem: 'ext4', mode: 'rw' })
    await writeTinySystem(mount.path)
    await installProgram(mount.path, 'env')
    await exec('cp', [join(mount.path, 'usr/sbin/env'), join(mount.path, 'usr/sbin/init')])
    await exec('ln', ['-s', 'usr/sbin', join(mount.path, 'sbin')])
    await writeFile(join(mount.path, 'data'), randomBytes(mib(3)))
  }
  await using swap = await openPart(disk, { start: 16, end: 20 })
  await exec('mkswap', [swap.path])
  await using wedge = await openPart(disk, { start: 22, end: 24 })
  await exec('mkfs.ext2', ['-q', '-F', wedge.path])
}

/** Some extents of the physical volume as a device. */
async function openPart(disk: LoopDisk, { start, end }: { start: number; end: number }) {
  const offset = FIRST_EXTENT + start * EXTENT_BYTES
  const size = (end - start) * EXTENT_BYTES
  const place = ['--offset', String(offset), '--sizelimit', String(size)]
  const { stdout } = await exec('losetup', ['--find', '--show', ...place, disk.partition(1)])
  const path = stdout.trim()
  return {
    path,
    [Symbol.asyncDispose]: () => exec('losetup', ['--detach', path]).then(() => undefined),
  }
}
