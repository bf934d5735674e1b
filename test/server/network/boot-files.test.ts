import assert from 'node:assert/strict'
import {
  mkdir,
  mkdtempDisposable,
  readFile,
  readdir,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { NoBootFilesError, openBootFiles } from '#server/network/boot-files.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openSmallDisk } from '#test/support/small-disk.ts'

const url = 'http://192.0.2.1:8080'

async function openFolders() {
  const dir = await mkdtempDisposable(join(tmpdir(), 'boot-files-'))
  const folder = join(dir.path, 'boot')
  const packageFolder = join(dir.path, 'package')
  await mkdir(packageFolder)
  for (const name of ['undionly.kpxe', 'snponly.efi', 'ipxe.efi'])
    await writeFile(join(packageFolder, name), `packaged ${name}`)
  return { folder, packageFolder, [Symbol.asyncDispose]: () => dir[Symbol.asyncDispose]() }
}

describe('boot files', () => {
  it('are copied from the package at the first start', async () => {
    await using at = await openFolders()
    const boot = await openBootFiles({ ...at, url })
    assert.deepEqual([...(await boot.names())].sort(), ['ipxe.efi', 'snponly.efi', 'undionly.kpxe'])
    assert.equal(await readFile(join(at.folder, 'snponly.efi'), 'utf8'), 'packaged snponly.efi')
    assert.equal((await readdir(at.folder)).length, 3, 'no temporary file is left')
  })

  it('that someone put there are served and never replaced', async () => {
    await using at = await openFolders()
    await mkdir(at.folder)
    await writeFile(join(at.folder, 'snponly.efi'), 'my own build')
    await symlink(join(at.packageFolder, 'ipxe.efi'), join(at.folder, 'snponly-arm64.efi'))
    await mkdir(join(at.folder, 'folder'))
    await symlink('nowhere', join(at.folder, 'broken'))
    const boot = await openBootFiles({ ...at, url })
    assert.equal(await readFile(join(at.folder, 'snponly.efi'), 'utf8'), 'my own build')
    assert.deepEqual([...(await boot.names())].sort(), [
      'ipxe.efi',
      'snponly-arm64.efi',
      'snponly.efi',
      'undionly.kpxe',
    ])
  })

  it('need no room once they are there', { skip: NEEDS_ROOT }, async () => {
    await using at = await openFolders()
    await using disk = await openSmallDisk(1)
    const options = { ...at, folder: join(disk.path, 'boot'), url }
    const before = await (await openBootFiles(options)).names()
    disk.fill()
    assert.deepEqual(await (await openBootFiles(options)).names(), before)
  })

  it('come and go while the server runs', async () => {
    await using at = await openFolders()
    const boot = await openBootFiles({ ...at, url })
    await rm(join(at.folder, 'ipxe.efi'))
    await writeFile(join(at.folder, 'new.efi'), '')
    const names = await boot.names()
    assert.ok(names.has('new.efi') && !names.has('ipxe.efi'))
  })

  it('include a script for iPXE builds that ask for one, unless there is one in the folder', async () => {
    await using at = await openFolders()
    const boot = await openBootFiles({ ...at, url })
    const made = (await boot.files()).get('autoexec.ipxe')
    assert.ok(made && 'bytes' in made && Buffer.from(made.bytes).includes(`${url}/boot/`))
    await writeFile(join(at.folder, 'autoexec.ipxe'), '#!ipxe')
    const own = (await boot.files()).get('autoexec.ipxe')
    assert.ok(own && 'path' in own)
  })

  it('that cannot be put where they belong are an error that says what to do', async () => {
    await using at = await openFolders()
    await writeFile(at.folder, 'no folder')
    await assert.rejects(
      openBootFiles({ ...at, url }),
      (err) =>
        err instanceof NoBootFilesError &&
        /cannot be given them \(Error: EEXIST: .*\); let the user of the server write/.test(
          err.message,
        ),
    )
  })

  it('that are missing altogether are an error that says what to do', async () => {
    await using at = await openFolders()
    const options = { ...at, packageFolder: '/nonexistent', url }
    await assert.rejects(openBootFiles(options), (err: Error) => {
      assert.ok(err instanceof NoBootFilesError)
      assert.match(err.message, /apt install ipxe/)
      return true
    })
    await writeFile(join(at.folder, 'undionly.kpxe'), 'mine')
    assert.deepEqual([...(await (await openBootFiles(options)).names())], ['undionly.kpxe'])
  })
})
