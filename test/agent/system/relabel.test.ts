import assert from 'node:assert/strict'
import { chmod, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { relabel } from '#agent/system/relabel.ts'
import { IS_ROOT } from './loop-disk.ts'
import { openTemporaryRoot } from './temporary-root.ts'
import { installProgram } from './tiny-system.ts'

const ENFORCING = { '/etc/selinux/config': '# SELinux\nSELINUX=enforcing\nSELINUXTYPE=targeted\n' }
const WRITTEN = new Set(['/etc/hostname'])

describe('SELinux labels of new files', { skip: !IS_ROOT && 'needs root for a chroot' }, () => {
  it('are set by the system itself', async () => {
    await using root = await openTemporaryRoot(ENFORCING)
    await installProgram(root.path, 'busybox')
    const program = `${root.path}/usr/sbin/setfiles`
    await writeFile(program, '#!/usr/sbin/busybox sh\necho "$@" > /seen\n')
    await chmod(program, 0o755)
    await relabel(exec, root.files, WRITTEN)
    assert.equal(
      await root.files.read('/seen'),
      '-F /etc/selinux/targeted/contexts/files/file_contexts /etc/ssh /etc/hostname\n',
    )
    assert.equal(await root.files.kind('/.autorelabel'), undefined)
  })

  it('are left to the next boot where the system has no tool that runs here', async () => {
    await using root = await openTemporaryRoot(ENFORCING)
    await relabel(exec, root.files, WRITTEN)
    assert.equal(await root.files.kind('/.autorelabel'), 'file')
  })

  it('are no matter where SELinux is off, or nothing is new', async () => {
    const off = { '/etc/selinux/config': 'SELINUX=disabled\nSELINUXTYPE=targeted\n' }
    await using disabled = await openTemporaryRoot(off)
    await relabel(exec, disabled.files, WRITTEN)
    assert.equal(await disabled.files.kind('/.autorelabel'), undefined)
    await using unchanged = await openTemporaryRoot(ENFORCING)
    await relabel(exec, unchanged.files, new Set())
    assert.equal(await unchanged.files.kind('/.autorelabel'), undefined)
  })
})
