import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtempDisposable, readFile, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { zstdDecompressSync } from 'node:zlib'
import { packArchive } from '../../initramfs/archive.ts'

async function writeTree(folder: string): Promise<void> {
  await mkdir(join(folder, 'usr/bin'), { recursive: true })
  await writeFile(join(folder, 'usr/bin/tool'), 'content', { mode: 0o755 })
  await symlink('usr/bin', join(folder, 'bin'))
}

describe('archive', () => {
  it('holds each file once, as root, links as links', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-archive-'))
    const output = join(folder.path, 'archive.zst')
    await writeTree(join(folder.path, 'tree'))
    await packArchive(join(folder.path, 'tree'), output, { level: 3 })
    const cpio = zstdDecompressSync(await readFile(output))
    const listing = execFileSync('cpio', ['-itvn', '--quiet'], { input: cpio, encoding: 'utf8' })
    const names = listing
      .trim()
      .split('\n')
      .map((line) => line.split(/ 1970 /)[1])
    assert.deepEqual(names, ['bin -> usr/bin', 'usr', 'usr/bin', 'usr/bin/tool'])
    assert.match(listing, /^-rwxr-xr-x +1 0 +0 +7 Jan +1 +1970 usr\/bin\/tool$/m)
  })

  it('is the same for the same content, whenever and wherever it was written', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-archive-'))
    const archives: Buffer[] = []
    for (const name of ['first', 'second']) {
      const tree = join(folder.path, name)
      await writeTree(tree)
      await utimes(join(tree, 'usr/bin/tool'), 1, archives.length * 1e6)
      await packArchive(tree, `${tree}.zst`, { level: 3 })
      archives.push(await readFile(`${tree}.zst`))
    }
    assert.ok(archives[0]!.equals(archives[1]!))
  })
})
