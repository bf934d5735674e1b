import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { readImage } from '#agent/steps/read-image.ts'
import { CHUNK_BYTES, decodeSegment, type ChunkReference } from '#protocol/image/image.ts'
import { IS_ROOT, mib, openLoopDisk, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { inflate, openChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { createTestContext } from '#test/support/step-context.ts'
import { openExtents } from './extent-device.ts'

/** MiB of the disk. */
const EXT4 = { start: 1, end: 49 }
const SWAP = { start: 49, end: 81 }
const MEMBER = { start: 81, end: 130 }
/** The second to ninth extent of 4 MiB, behind the first MiB. */
const VOLUME = { start: 86, end: 118 }
const DISK_MIB = 132

/** From the partition's end: md(4) 0.90 and 1.0; the last labels of ZFS begin half a MiB before it. */
const KNOWN_BY_MIB = 1

describe('the edges of partitions and volumes', { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  it('are zeros where nothing is used: a RAID that the target was in would be found there', async () => {
    await using disk = await openLoopDisk(mib(DISK_MIB))
    await prepare(disk)
    const chunks = await capture(disk)
    for (const { start, end } of [EXT4, SWAP, MEMBER, VOLUME]) {
      for (const index of [start, end - KNOWN_BY_MIB]) assert.notEqual(chunks[index], 'unused')
      const middle = Math.floor((start + end) / 2)
      assert.ok(chunks.slice(middle - 4, middle + 8).includes('unused'), `of ${start} to ${end}`)
    }
    assert.equal(chunks[SWAP.end - KNOWN_BY_MIB], 'zero')
    // The second header of a LUKS2 with the largest metadata is 4 MiB in.
    assert.equal(chunks[SWAP.start + 4], 'zero')
    assert.equal(chunks[VOLUME.end - KNOWN_BY_MIB], 'zero')
  })
})

async function prepare(disk: LoopDisk): Promise<void> {
  const partition = ({ start, end }: typeof EXT4) => `start=${start}MiB, size=${end - start}MiB\n`
  await disk.sfdisk(`label: gpt\n${[EXT4, SWAP, MEMBER].map(partition).join('')}`)
  await exec('mkfs.ext4', ['-q', disk.partition(1)])
  await exec('mkswap', [disk.partition(2)])
  const member = disk.partition(3)
  const lvm = (command: string, ...args: string[]) =>
    exec('lvm', [command, '--driverloaded', 'n', '--devices', member, ...args])
  await lvm('pvcreate', '--yes', member)
  await lvm('vgcreate', 'test-group', member)
  const create = ['--activate', 'n', '--zero', 'n', '--wipesignatures', 'n', '--extents']
  await lvm('lvcreate', ...create, '1', '--name', 'first', 'test-group')
  await lvm('lvcreate', ...create, '8', '--name', 'swap', 'test-group')
  await using volume = await openExtents(disk, [{ partition: 3, start: 1, end: 9 }])
  await exec('mkswap', [volume.path])
}

async function capture({ path }: LoopDisk): Promise<ChunkReference[]> {
  await exec('blockdev', ['--flushbufs', path])
  await using server = await openChunkServer()
  const disk = await readDiskAt(exec, path)
  const image = { name: 'captured' }
  await readImage(createTestContext({ serverUrl: server.url, workflow: 'capture', image, disk }))
  const manifest = server.manifests.get(server.images.get('captured')!.digest)!
  const { segments } = JSON.parse(manifest.toString()) as { segments: string[] }
  const references = decodeSegment(inflate(server.chunks.get(segments[0]!)!))
  assert.equal(references.length, mib(DISK_MIB) / CHUNK_BYTES)
  return references
}
