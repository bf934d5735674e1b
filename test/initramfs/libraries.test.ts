import assert from 'node:assert/strict'
import { access, chmod, copyFile, mkdir, mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { copyLibraries, parseNeeded } from '../../initramfs/libraries.ts'

describe('libraries', () => {
  it('reads the sonames that readelf prints', () => {
    const text = [
      'Dynamic section at offset 0x1 contains 2 entries:',
      ' 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]',
      ' 0x000000000000000e (SONAME)             Library soname: [libm.so.6]',
      ' 0x0000000000000001 (NEEDED)             Shared library: [ld-linux-x86-64.so.2]',
    ].join('\n')
    assert.deepEqual(parseNeeded(text), ['libc.so.6', 'ld-linux-x86-64.so.2'])
  })

  it('copies libraries of libraries too', async () => {
    await using target = await mkdtempDisposable(join(tmpdir(), 'stampede-libraries-'))
    // Node needs libstdc++, which itself needs libm; the host stands in for unpacked packages.
    const copied = await copyLibraries([process.execPath], '/', target.path)
    for (const soname of ['libstdc++.so.6', 'libm.so.6', 'libc.so.6']) {
      assert.ok(copied.includes(soname), soname)
      await access(join(target.path, 'usr/lib/x86_64-linux-gnu', soname))
    }
    await access(join(target.path, 'usr/lib64/ld-linux-x86-64.so.2'))
  })

  it('names the library that no package brings', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-libraries-'))
    const source = join(folder.path, 'source')
    await mkdir(join(source, 'lib64'), { recursive: true })
    const loader = join(source, 'lib64/ld-linux-x86-64.so.2')
    await copyFile('/lib64/ld-linux-x86-64.so.2', loader)
    await chmod(loader, 0o755)
    await assert.rejects(
      copyLibraries([process.execPath], source, join(folder.path, 'target')),
      /No package brings the library "lib[^"]+"/,
    )
  })
})
