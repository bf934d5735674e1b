import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { run } from '#lab/command.ts'
import { writeDirtyExt4, writeMdMembers } from '#lab/disk-content.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'loop mounts need root'

describe('disk contents', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stampede-disk-content-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('an ext4 has a journal to replay', { skip: NEEDS_ROOT }, async () => {
    const file = path.join(folder, 'dirty.raw')
    await writeDirtyExt4(file, 64 * 1024 ** 2)
    assert.match(await run('dumpe2fs', ['-h', file]), /needs_recovery/)
  })

  it('mdadm and blkid accept the members of a RAID', async () => {
    const files = [path.join(folder, 'md0.raw'), path.join(folder, 'md1.raw')]
    await writeMdMembers(files, 32 * 1024 ** 2)
    for (const [number, file] of files.entries()) {
      const examined = await run('mdadm', ['--examine', file])
      assert.match(examined, /Checksum : [0-9a-f]+ - correct/)
      assert.match(examined, new RegExp(`Device Role : Active device ${number}`))
      assert.match(await run('blkid', ['-p', file]), /linux_raid_member/)
    }
  })
})
