import assert from 'node:assert/strict'
import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { findFallback, findLoader, listEfiFiles } from '#agent/efi/loaders.ts'

describe('EFI loaders', () => {
  it('are listed as firmware writes their paths, whatever the case of the folder', async () => {
    await using root = await mkdtempDisposable(join(tmpdir(), 'stampede-esp-'))
    const files = ['efi/Boot/bootx64.efi', 'efi/debian/fonts/a.pf2', 'loader/entries/x.conf']
    for (const file of files) {
      await mkdir(dirname(join(root.path, file)), { recursive: true })
      await writeFile(join(root.path, file), '')
    }
    assert.deepEqual(await listEfiFiles(root.path), [
      '\\efi\\Boot\\bootx64.efi',
      '\\efi\\debian\\fonts\\a.pf2',
    ])
  })

  it('are none on a partition without the folder EFI', async () => {
    await using root = await mkdtempDisposable(join(tmpdir(), 'stampede-esp-'))
    assert.deepEqual(await listEfiFiles(root.path), [])
  })

  const DEBIAN = ['\\EFI\\debian\\grubx64.efi', '\\EFI\\debian\\shimx64.efi']

  it('are at the fallback path in any case, for this processor only', () => {
    const fallback = '\\efi\\Boot\\BootX64.efi'
    assert.equal(findFallback([...DEBIAN, fallback], 'x86_64'), fallback)
    assert.equal(findFallback([...DEBIAN, fallback], 'aarch64'), undefined)
    assert.equal(findFallback(DEBIAN, 'x86_64'), undefined)
    assert.equal(findFallback(['\\EFI\\debian\\BOOTX64.EFI'], 'x86_64'), undefined)
  })

  it('are started through shim where there is one', () => {
    assert.equal(findLoader(DEBIAN, 'x86_64'), '\\EFI\\debian\\shimx64.efi')
    assert.equal(findLoader(DEBIAN.slice(0, 1), 'x86_64'), '\\EFI\\debian\\grubx64.efi')
    const windows = '\\EFI\\Microsoft\\Boot\\bootmgfw.efi'
    assert.equal(findLoader([windows, '\\EFI\\Microsoft\\Boot\\memtest.efi'], 'x86_64'), windows)
    assert.equal(findLoader(['\\EFI\\debian\\fbx64.efi'], 'x86_64'), undefined)
  })
})
