import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openDeviceToLook } from '#agent/disk/device.ts'
import { exec, type Exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { lookInside } from '#agent/used/look-inside.ts'
import { cancelAfter, pathOf } from '../system/held-program.ts'
import { IS_ROOT, openLoopDisk } from '../system/loop-disk.ts'

const MIB = 1024 * 1024

describe('a capture that is cancelled', { skip: !IS_ROOT && 'needs root' }, () => {
  it('lets go of the view of a partition that it just got', async () => {
    await using disk = await openLoopDisk(64 * MIB)
    await disk.sfdisk('label: gpt\nstart=2048\n')
    await disk.format(1, 'ext4', ['-q'])
    // By its path, for what is found by its name is held back.
    const losetup = await pathOf('losetup')
    const countViews = async () => {
      const { stdout } = await exec(losetup, ['--associated', disk.path])
      return stdout.split('\n').filter(Boolean).length
    }
    await using device = await openDeviceToLook(disk.path)
    const known = await readDiskAt(exec, disk.path)
    const region = { start: MIB, end: 63 * MIB, partition: 1, name: 'Partition 1' }
    const isThere = async () => (await countViews()) > 0
    await cancelAfter('losetup', isThere, async (signal) => {
      const bound: Exec = (command, args, options) => exec(command, args, { ...options, signal })
      const options = { device, disk: known, exec: bound, signal, log: () => {} }
      // The device is its own to let go of.
      await lookInside(options, [{ region, content: { type: 'ext4' } }])
    })
    assert.equal(await countViews(), 0)
  })
})
