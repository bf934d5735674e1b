import assert from 'node:assert/strict'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDeviceToLook } from '#agent/disk/device.ts'
import { exec, type Exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { lookInside } from '#agent/used/look-inside.ts'
import { IS_ROOT, openLoopDisk } from '../system/loop-disk.ts'

const MIB = 1024 * 1024

describe('a capture that is cancelled', { skip: !IS_ROOT && 'needs root' }, () => {
  it('lets go of the view of a partition that it just got', async () => {
    await using disk = await openLoopDisk(64 * MIB)
    await disk.sfdisk('label: gpt\nstart=2048\n')
    await disk.format(1, 'ext4', ['-q'])
    const losetup = (await exec('sh', ['-c', 'command -v losetup'])).stdout.trim()
    const countViews = async () => {
      const { stdout } = await exec(losetup, ['--associated', disk.path])
      return stdout.split('\n').filter(Boolean).length
    }
    // A program that has made the device, and does not end before the run is cancelled.
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-slow-'))
    const over = join(folder.path, 'over')
    const script = `#!/bin/sh\n${losetup} "$@" && until test -e ${over}; do sleep 0.01; done\n`
    await writeFile(join(folder.path, 'losetup'), script, { mode: 0o755 })
    const cancel = new AbortController()
    const { signal } = cancel
    const bound: Exec = (command, args, options) => exec(command, args, { ...options, signal })
    await using device = await openDeviceToLook(disk.path)
    const known = await readDiskAt(exec, disk.path)
    const region = { start: MIB, end: 63 * MIB, partition: 1, name: 'Partition 1' }
    const path = process.env['PATH']
    process.env['PATH'] = `${folder.path}:${path}`
    try {
      const options = { device, disk: known, exec: bound, signal, log: () => {} }
      let isOver = false
      // What it makes of a cancel is up to whoever asked; the device is its own to let go of.
      const looked = lookInside(options, [{ region, content: { type: 'ext4' } }])
        .catch(() => {})
        .finally(() => (isOver = true))
      while (!isOver && (await countViews()) === 0) await sleep(5)
      assert.ok(!isOver)
      cancel.abort(new Error('Cancelled'))
      await writeFile(over, '')
      await looked
    } finally {
      process.env['PATH'] = path
    }
    assert.equal(await countViews(), 0)
  })
})
