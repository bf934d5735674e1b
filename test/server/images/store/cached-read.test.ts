import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempDisposable, readFile, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { readCached } from '#server/images/store/cached-read.ts'
import { forgetFile } from '#test/support/forgotten-file.ts'

const CONTENT = randomBytes(300_001)

/** ext4, XFS, btrfs: those that can tell whether a read would wait, and forget when they are asked to. */
const KNOWN = [0xef53, 0x5846_5342, 0x9123_683e]
const { type } = await statfs(tmpdir())
const skip = !KNOWN.includes(type) && `of file system ${type.toString(16)} it is not known`

async function openFolder() {
  const folder = await mkdtempDisposable(join(tmpdir(), 'stampede-cached-'))
  const path = join(folder.path, 'chunk')
  await writeFile(path, CONTENT)
  return { path, [Symbol.asyncDispose]: () => folder.remove() }
}

describe('reading what the kernel has in memory', { skip }, () => {
  it('brings the whole of a file into memory that threads can share', async () => {
    await using file = await openFolder()
    const buffer = Buffer.from(new SharedArrayBuffer(CONTENT.length + 100))
    const length = readCached(file.path, buffer)
    assert.equal(length, CONTENT.length)
    assert.ok(CONTENT.equals(buffer.subarray(0, length)))
  })

  it('stops where the buffer ends', async () => {
    await using file = await openFolder()
    const buffer = Buffer.alloc(1000)
    assert.equal(readCached(file.path, buffer), 1000)
    assert.ok(CONTENT.subarray(0, 1000).equals(buffer))
  })

  it('leaves what is not there to whoever reads as ever', async () => {
    await using file = await openFolder()
    assert.equal(readCached(`${file.path}-none`, Buffer.alloc(10)), undefined)
  })

  it('leaves what would wait for a medium to whoever reads as ever', async () => {
    await using file = await openFolder()
    // Ends once it does. To be asked has the kernel read ahead, so that a moment later all may be there.
    forgetFile(file.path)
    await readFile(file.path)
    assert.equal(readCached(file.path, Buffer.alloc(CONTENT.length + 100)), CONTENT.length)
  })
})
