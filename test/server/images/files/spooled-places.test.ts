import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempDisposable, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { DiskContent } from '#server/images/export/disk-content.ts'
import { openImageFiles } from '#server/images/files/image-files.ts'
import { MIB } from '#test/support/disk-content.ts'
import { manifestOf, openTestStore } from '#test/support/image-store.ts'

const run = promisify(execFile)
const SBIN = { env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } }

async function emptyDisk(label: string): Promise<Buffer> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-disk-'))
  const path = join(folder.path, 'disk')
  await writeFile(path, '')
  await truncate(path, 4 * MIB)
  await run('mkfs.ext4', ['-q', '-L', label, path], SBIN)
  return await readFile(path)
}

describe('what is unpacked to be looked into', () => {
  it('goes in the end, also what two asked for while another had to go', async () => {
    await using test = await openTestStore()
    await using spool = await mkdtempDisposable(join(tmpdir(), 'stampede-spool-'))
    const disks = new Map<Sha256, DiskContent>()
    for (const label of ['one', 'two', 'three']) {
      const imported = await test.import(await emptyDisk(label))
      const { sizeBytes, segments } = manifestOf(imported)
      disks.set(imported.digest, {
        store: test.store,
        sizeBytes,
        segments: segments.map((hash) => (hash === null ? null : parseSha256(hash))),
      })
    }
    const [one, two, three] = disks.keys()
    {
      await using files = openImageFiles({
        spoolFolder: spool.path,
        openDisk: async (digest) => ({
          ...disks.get(digest)!,
          [Symbol.asyncDispose]: async () => {},
        }),
      })
      const list = async (digest: Sha256) => {
        const { signal } = new AbortController()
        const { entries } = await files.list({ digest, info: {}, path: '/', signal })
        return entries.map(({ name }) => name)
      }
      assert.deepEqual(await list(one!), ['lost+found'])
      assert.deepEqual(await list(two!), ['lost+found'])
      const both = await Promise.all([list(three!), list(three!)])
      assert.deepEqual(both, [['lost+found'], ['lost+found']])
      assert.equal((await readdir(spool.path)).length, 2)
    }
    assert.deepEqual(await readdir(spool.path), [])
  })
})
