import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { readImage } from '#agent/steps/read-image.ts'
import { openMount } from '#agent/system/mount.ts'
import { IS_ROOT, mib, openLoopDisk, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { openChunkServer, type ChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { createTestContext } from '#test/support/step-context.ts'

const BLOCK_BYTES = 4096

describe('an image of used blocks', { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  it('is the same for the same files, whatever the free blocks beside them hold', async () => {
    await using server = await openChunkServer()
    await using disk = await openLoopDisk(mib(50))
    await disk.sfdisk(`label: gpt\nsize=${mib(48) / 512}\n`)
    const device = disk.partition(1)
    await exec('mkfs.ext4', ['-q', '-b', String(BLOCK_BYTES), device])
    {
      await using mount = await openMount(exec, { device, fileSystem: 'ext4', mode: 'rw' })
      await writeFile(join(mount.path, 'file'), randomBytes(mib(3)))
    }
    const digest = await capture(server, disk, 'before')
    const puts = server.puts()

    // In the chunks that files are in, too: the first free blocks come right after them.
    const { stdout } = await exec('debugfs', ['-R', 'ffb 2000', device])
    const free = stdout.match(/\d+/g)!.map(Number)
    assert.equal(free.length, 2000)
    {
      await using file = await open(device, 'r+')
      for (const block of free)
        await file.write(randomBytes(BLOCK_BYTES), 0, BLOCK_BYTES, block * BLOCK_BYTES)
    }
    assert.equal(await capture(server, disk, 'after'), digest)
    assert.deepEqual(server.images.get('after'), server.images.get('before'))
    assert.equal(server.puts(), puts)
  })
})

async function capture(server: ChunkServer, { path }: LoopDisk, name: string): Promise<string> {
  const disk = await readDiskAt(exec, path)
  const image = { name }
  await readImage(createTestContext({ serverUrl: server.url, workflow: 'capture', image, disk }))
  return server.images.get(name)!.digest
}
