import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { statfs } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { readCached } from '#server/images/store/cached-read.ts'
import { createDirectoryStore } from '#server/images/store/directory-store.ts'
import { MIB, sha256 } from '#test/support/disk-content.ts'
import { forgetFile } from '#test/support/forgotten-file.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

/** Longer than it takes to count as the only reader. */
const LONE_MILLISECONDS = 150

/** ext4, XFS, btrfs: those that can tell whether a read would wait. */
const TELLING = [0xef53, 0x5846_5342, 0x9123_683e]
const { type } = await statfs(tmpdir())
const skip = !TELLING.includes(type) && `of file system ${type.toString(16)} it is not known`

/** Incompressible, so that a few of them are more than the kernel takes for a client that does not read. */
const chunks = Array.from({ length: 12 }, randomChunk)

function randomChunk() {
  const content = randomBytes(MIB)
  return { hash: sha256(content), stored: gzipSync(content, { level: 1 }) }
}

describe('chunks on their way out', () => {
  let app: TestApp
  before(async () => {
    app = await openTestApp()
    for (const { hash, stored } of chunks)
      assert.equal((await app.call('PUT', `/chunks/${hash}`, stored)).status, 201)
  })
  after(() => app[Symbol.asyncDispose]())

  const open = async (): Promise<Socket> => {
    const socket = connect(app.port, '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }
  const ask = (socket: Socket, hash: string, method = 'GET') =>
    socket.write(
      `${method} /chunks/${hash} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer ${app.adminToken.token}\r\n\r\n`,
    )
  const askAlone = async (socket: Socket): Promise<void> => {
    const end = performance.now() + LONE_MILLISECONDS
    for (let turn = 0; performance.now() < end; turn++) {
      const { hash, stored } = chunks[turn % chunks.length]!
      ask(socket, hash)
      assert.ok((await readAnswer(socket)).body.equals(stored))
    }
  }

  it('come in the order asked for and whole, though all are asked for at once', async () => {
    const socket = await open()
    await askAlone(socket)
    for (const { hash } of chunks) ask(socket, hash)
    for (const { stored } of chunks) {
      const { head, body } = await readAnswer(socket)
      assert.match(head, /^HTTP\/1\.1 200 /)
      assert.match(head, /\r\ncontent-type: application\/gzip\r\n/i)
      assert.match(head, /\r\ncache-control: private, max-age=31536000, immutable\r\n/i)
      assert.match(head, /\r\nx-content-type-options: nosniff\r\n/i)
      assert.ok(body.equals(stored))
    }
    socket.destroy()
  })

  it('stay what they are while their client does not read and others get theirs', async () => {
    const [slow, quick] = [await open(), await open()]
    await askAlone(slow)
    slow.pause()
    for (const { hash } of chunks) ask(slow, hash)
    await askAlone(quick)
    for (const { stored } of chunks) assert.ok((await readAnswer(slow)).body.equals(stored))
    for (const socket of [slow, quick]) socket.destroy()
  })

  it('are sent on after clients that left in the middle', async () => {
    for (let turn = 0; turn < 20; turn++) {
      const gone = await open()
      for (const { hash } of chunks) ask(gone, hash)
      await once(gone, 'data')
      gone.destroy()
    }
    const socket = await open()
    await askAlone(socket)
    ask(socket, chunks[0]!.hash, 'HEAD')
    ask(socket, '00'.repeat(32))
    ask(socket, chunks[1]!.hash)
    assert.equal((await readAnswer(socket, 'HEAD')).body.length, 0)
    assert.match((await readAnswer(socket)).head, /^HTTP\/1\.1 404 /)
    assert.ok((await readAnswer(socket)).body.equals(chunks[1]!.stored))
    socket.destroy()
  })

  it('are whole in one form or the other while they are stored anew', async () => {
    const content = Buffer.from('a chunk that is stored anew '.repeat(30_000))
    const hash = sha256(content)
    const forms = [1, 6, 9].map((level) => gzipSync(content, { level }))
    assert.equal((await app.call('PUT', `/chunks/${hash}`, forms[0])).status, 201)
    const folder = join(app.dataFolder, 'store')
    const store = createDirectoryStore({ folder, flush: async () => {} })
    const seen = new Set<number>()
    let isOver = false
    const readers = [await open(), await open(), await open()].map(async (socket) => {
      while (!isOver) {
        ask(socket, hash)
        const { head, body } = await readAnswer(socket)
        assert.match(head, /^HTTP\/1\.1 200 /)
        const form = forms.findIndex((each) => each.equals(body))
        assert.notEqual(form, -1, `${body.length} bytes that are none of its forms`)
        seen.add(form)
      }
      socket.destroy()
    })
    const replacing = (async () => {
      for (let turn = 1; turn < 100 && (turn < 40 || seen.size < 3); turn++)
        assert.equal(await store.replace(hash, forms[turn % forms.length]!), true)
    })()
    await replacing.finally(() => void (isOver = true))
    await Promise.all(readers)
    assert.ok(seen.size > 1, 'nothing was replaced while it was sent')
  })

  it('come from the medium where the kernel has forgotten them', { skip }, async () => {
    const socket = await open()
    // Nobody has asked for these, so that none is kept for others.
    const wanted = Array.from({ length: 4 }, randomChunk)
    for (const { hash, stored } of wanted)
      assert.equal((await app.call('PUT', `/chunks/${hash}`, stored)).status, 201)
    const paths = wanted.map(({ hash }) =>
      join(app.dataFolder, 'store', hash.slice(0, 2), `${hash.slice(2)}.gz`),
    )
    for (const path of paths) forgetFile(path)
    // All at once, as an agent asks for them.
    for (const { hash } of wanted) ask(socket, hash)
    for (const { stored } of wanted) assert.ok((await readAnswer(socket)).body.equals(stored))
    for (const path of paths) await untilCached(path)
    socket.destroy()
  })

  /** Where something is renamed in that moment, the kernel says of any file that it would have to wait. */
  async function untilCached(path: string): Promise<void> {
    const scratch = Buffer.alloc(2 * MIB)
    for (let look = 0; look < 50; look++) {
      if (readCached(path, scratch) !== undefined) return
      await sleep(20)
    }
    assert.fail(`${path} is not in memory`)
  }

  /** One answer; what is read beyond it is put back. */
  async function readAnswer(
    socket: Socket,
    method = 'GET',
  ): Promise<{ head: string; body: Buffer }> {
    let bytes = Buffer.alloc(0)
    let end = -1
    let length = 0
    while (end === -1 || bytes.length < end + length) {
      const part = socket.read() as Buffer | null
      if (part === null) {
        await once(socket, 'readable', { signal: AbortSignal.timeout(60_000) })
        continue
      }
      bytes = Buffer.concat([bytes, part])
      if (end === -1 && bytes.includes('\r\n\r\n')) {
        end = bytes.indexOf('\r\n\r\n') + 4
        const stated = /\r\ncontent-length: (\d+)\r\n/i.exec(bytes.toString('latin1', 0, end))
        length = method === 'HEAD' ? 0 : Number(stated![1])
      }
    }
    const over = bytes.subarray(end + length)
    if (over.length > 0) socket.unshift(over)
    return { head: bytes.toString('latin1', 0, end), body: bytes.subarray(end, end + length) }
  }
})
