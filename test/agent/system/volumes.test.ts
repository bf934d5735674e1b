import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { openVolumes } from '#agent/system/volumes.ts'
import { IS_ROOT, mib, openLoopDisk, type LoopDisk } from './loop-disk.ts'

async function digestOf(disk: LoopDisk): Promise<string> {
  await exec('blockdev', ['--flushbufs', disk.path])
  return createHash('sha256')
    .update(await readFile(disk.file))
    .digest('hex')
}

/** Device-mapper is not needed for this: nothing is activated. */
async function makeGroup(name: string, disks: LoopDisk[]): Promise<void> {
  const paths = disks.map(({ path }) => path)
  const scope = ['--devices', paths.join(','), '--quiet', '--yes']
  for (const path of paths) await exec('lvm', ['pvcreate', ...scope, path])
  await exec('lvm', ['vgcreate', ...scope, name, ...paths])
}

describe('volumes of the target', { skip: !IS_ROOT && 'needs root for loop devices' }, () => {
  it('are looked for on the target alone: a group that reaches further is left alone', async () => {
    await using target = await openLoopDisk(mib(32))
    await using other = await openLoopDisk(mib(32))
    await makeGroup('stampede-test', [target, other])
    const before = [await digestOf(target), await digestOf(other)]
    const warnings: string[] = []
    {
      await using found = await openVolumes(exec, [target.path], (text) => warnings.push(text))
      assert.deepEqual(found.volumes, [])
      assert.deepEqual(found.groups, [])
    }
    assert.match(warnings.join(), /"stampede-test" is left alone: 1 of its physical volumes/)
    assert.deepEqual([await digestOf(target), await digestOf(other)], before)
  })

  it('show LVM no disk but the target', async () => {
    await using target = await openLoopDisk(mib(32))
    await using clone = await openLoopDisk(mib(32))
    const pvcreate = (path: string) =>
      exec('lvm', ['pvcreate', '--devices', path, '--quiet', '--yes', path])
    await pvcreate(target.path)
    await pvcreate(clone.path)
    await using found = await openVolumes(exec, [target.path], assert.fail)
    const listed = await found.lvm('pvs', ['--noheadings', '-o', 'pv_name'])
    assert.equal(listed.trim(), target.path)
  })
})
