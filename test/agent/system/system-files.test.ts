import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { link, mkdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { openTemporaryRoot } from './temporary-root.ts'

describe('files of a deployed system', () => {
  it('follows links as if the root were /, so that none leads out of it', async () => {
    await using outside = await openTemporaryRoot({ '/etc/passwd': 'ours' })
    await using root = await openTemporaryRoot({ '/etc/passwd': 'theirs' })
    const up = '../'.repeat(20)
    await symlink(`${outside.path}/etc/passwd`, `${root.path}/etc/absolute`)
    await symlink(`${up}${outside.path}/etc/passwd`, `${root.path}/etc/relative`)
    await symlink('/etc/passwd', `${root.path}/etc/inside`)
    await symlink(outside.path, `${root.path}/folder`)
    const { files } = root
    for (const path of ['/etc/absolute', '/etc/relative', '/folder/etc/passwd'])
      await files.write(path, 'changed')
    await files.write(`${up}etc/hostname`, 'name')
    await files.remove('/folder/etc/passwd')
    assert.equal(await readFile(`${outside.path}/etc/passwd`, 'utf8'), 'ours')
    assert.equal(await files.read('/etc/inside'), 'theirs')
    assert.equal(await readFile(`${root.path}/etc/hostname`, 'utf8'), 'name')
  })

  it('removes and replaces a link itself', async () => {
    await using outside = await openTemporaryRoot()
    await using root = await openTemporaryRoot()
    await symlink(`${outside.path}/etc`, `${root.path}/etc/link`)
    await root.files.remove('/etc/link')
    await symlink(`${outside.path}/etc`, `${root.path}/etc/link`)
    await root.files.link('/etc/link', '/etc/other')
    assert.equal(await readlink(`${root.path}/etc/link`), '/etc/other')
    assert((await stat(`${outside.path}/etc/os-release`)).isFile())
  })

  it('never removes the root', async () => {
    await using root = await openTemporaryRoot()
    await root.files.remove('/..')
    assert((await stat(root.path)).isDirectory())
  })

  it('refuses a loop of links', async () => {
    await using root = await openTemporaryRoot()
    await symlink('two', `${root.path}/etc/one`)
    await symlink('one', `${root.path}/etc/two`)
    await assert.rejects(root.files.read('/etc/one'), /loop of links/)
  })

  it('neither reads nor writes what is no regular file, and does not wait for it', async () => {
    await using root = await openTemporaryRoot()
    execFileSync('mkfifo', [`${root.path}/etc/hostname`])
    assert.equal(await root.files.read('/etc/hostname'), undefined)
    await assert.rejects(root.files.write('/etc/hostname', 'x'), /no regular file/)
    assert.equal(await root.files.kind('/etc/hostname'), 'other')
  })

  it('keeps the mode of a file, and gives a new one the mode asked for', async () => {
    await using root = await openTemporaryRoot()
    await writeFile(`${root.path}/etc/secret`, 'old and long', { mode: 0o600 })
    await root.files.write('/etc/secret', 'new')
    await root.files.write('/etc/new/file', 'x', 0o640)
    assert.equal((await stat(`${root.path}/etc/secret`)).mode & 0o777, 0o600)
    assert.equal((await stat(`${root.path}/etc/new/file`)).mode & 0o777, 0o640)
    assert.equal(await root.files.read('/etc/secret'), 'new')
  })

  it('refuses to read a file that is too long', async () => {
    await using root = await openTemporaryRoot()
    await writeFile(`${root.path}/etc/long`, Buffer.alloc(1024 * 1024 + 1))
    await assert.rejects(root.files.read('/etc/long'), /too long/)
  })

  it('lists a folder in order, and nothing where there is none', async () => {
    await using root = await openTemporaryRoot({ '/etc/x/b': '', '/etc/x/a': '' })
    await mkdir(`${root.path}/etc/x/c`)
    await link(`${root.path}/etc/x/a`, `${root.path}/etc/x/d`)
    assert.deepEqual(await root.files.list('/etc/x'), ['a', 'b', 'c', 'd'])
    assert.deepEqual(await root.files.list('/etc/none'), [])
  })
})
