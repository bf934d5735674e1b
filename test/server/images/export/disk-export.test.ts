import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempDisposable, open, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { MIB, diskContent } from '#test/support/disk-content.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const run = promisify(execFile)
const SPARSE_BYTES = 1500 * MIB + 4096

/** Content here and there over three tables of a qcow2 file, and an end within a cluster. */
const SPARSE: readonly [atBytes: number, length: number][] = [
  [0, 3 * MIB],
  [511 * MIB, 2 * MIB],
  [1024 * MIB, 512],
  [SPARSE_BYTES - 512, 512],
]

describe('the disk of an image, uncompressed', () => {
  let app: TestApp
  let folder: Awaited<ReturnType<typeof mkdtempDisposable>>
  const disks: Record<string, Uint8Array> = {
    small: diskContent({ chunks: 2 }),
    blank: new Uint8Array(4096),
  }
  before(async () => {
    folder = await mkdtempDisposable(join(tmpdir(), 'stampede-disk-export-'))
    app = await openTestApp()
    const uploads = { ...disks, sparse: await makeSparse() }
    for (const [name, disk] of Object.entries(uploads)) {
      const sent = await app.call('PUT', `/api/images/${name}`, disk)
      assert.equal(sent.status, 201, JSON.stringify(sent.body))
      if (name !== 'sparse') await writeFile(rawOf(name), disk)
    }
  })
  after(async () => {
    await app[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  const rawOf = (name: string) => join(folder.path, `${name}.raw`)

  /** As a qcow2 file, for nobody wants to send gigabytes of zeros. */
  async function makeSparse(): Promise<Uint8Array> {
    await using file = await open(rawOf('sparse'), 'w')
    await file.truncate(SPARSE_BYTES)
    for (const [index, [at, length]] of SPARSE.entries())
      await file.write(Buffer.alloc(length, index + 1), 0, length, at)
    const path = join(folder.path, 'upload.qcow2')
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', rawOf('sparse'), path])
    return await readFile(path)
  }

  async function get(file: string, headers: Record<string, string> = {}) {
    const answer = await fetch(`${app.url}/images/${file}`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, ...headers },
    })
    return { answer, bytes: Buffer.from(await answer.arrayBuffer()) }
  }

  for (const name of Object.keys(disks)) {
    it(`is "${name}" byte by byte as .img, and in any range of it`, async () => {
      const { answer, bytes } = await get(`${name}.img`)
      assert.equal(answer.headers.get('content-length'), String(disks[name]!.length))
      assert.equal(bytes.compare(disks[name]!), 0)
      const part = await get(`${name}.img`, { range: 'bytes=1000-3000' })
      assert.equal(answer.headers.get('accept-ranges'), 'bytes')
      assert.equal(part.answer.status, 206)
      assert.deepEqual(part.bytes, Buffer.from(disks[name]!.subarray(1000, 3001)))
    })
  }

  for (const name of ['sparse', ...Object.keys(disks)])
    it(`is "${name}" in a .qcow2 that QEMU finds nothing wrong with`, async () => {
      const { answer, bytes } = await get(`${name}.qcow2`)
      assert.equal(answer.status, 200)
      assert.equal(answer.headers.get('content-length'), String(bytes.length))
      const path = join(folder.path, `${name}.qcow2`)
      const raw = rawOf(name)
      await writeFile(path, bytes)
      const { stdout } = await run('qemu-img', ['check', '-f', 'qcow2', '--output=json', path])
      const checked = JSON.parse(stdout) as Record<string, number>
      assert.equal(checked['check-errors'], 0)
      assert.deepEqual([checked['leaks'], checked['corruptions']], [undefined, undefined])
      await run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', path, raw])
      if (name === 'sparse') assert.ok(bytes.length < 12 * MIB, `${bytes.length} bytes`)
      if (name === 'blank') assert.ok(bytes.length < MIB, `${bytes.length} bytes`)
    })

  it('has the bytes of a sparse disk where they are', async () => {
    for (const [index, [at, length]] of SPARSE.entries()) {
      const { answer, bytes } = await get('sparse.img', { range: `bytes=${at}-${at + length - 1}` })
      assert.equal(answer.headers.get('content-range')?.split('/')[1], String(SPARSE_BYTES))
      assert.equal(bytes.compare(Buffer.alloc(length, index + 1)), 0, `at ${at}`)
    }
    const { bytes } = await get('sparse.img', { range: `bytes=${700 * MIB - 5}-${702 * MIB}` })
    assert.equal(bytes.compare(Buffer.alloc(2 * MIB + 6)), 0)
  })

  it('goes on anywhere in a .qcow2', async () => {
    const { bytes } = await get('sparse.qcow2')
    const cluster = 65_536
    for (const start of [0, 100, cluster, 4 * cluster + 7, 6 * cluster, 40 * cluster + 1]) {
      const part = await get('sparse.qcow2', { range: `bytes=${start}-${start + 70_000}` })
      assert.equal(part.bytes.compare(bytes.subarray(start, start + 70_001)), 0, `from ${start}`)
    }
    const last = await get('sparse.qcow2', { range: 'bytes=-1000' })
    assert.equal(last.bytes.compare(bytes.subarray(-1000)), 0)
  })

  it('is a disk that QEMU can write on, without harm to what is there', async () => {
    const path = join(folder.path, 'written.qcow2')
    await writeFile(path, (await get('sparse.qcow2')).bytes)
    await run('qemu-io', ['-f', 'qcow2', '-c', 'write -P 9 512M 1M', '-c', 'write -P 9 0 4k', path])
    const { stdout } = await run('qemu-img', ['check', '-f', 'qcow2', '--output=json', path])
    assert.equal((JSON.parse(stdout) as Record<string, number>)['check-errors'], 0)
    await run('qemu-io', ['-r', '-f', 'qcow2', '-c', 'read -P 1 4k 1M', path])
  })

  it('has an ETag of its own for each format, and comes by a link too', async () => {
    const tags = await Promise.all(
      ['img', 'qcow2', 'img.gz', 'img.zst'].map(async (suffix) => {
        const { answer } = await get(`small.${suffix}`)
        return answer.headers.get('etag')
      }),
    )
    assert.equal(new Set(tags).size, 4)
    const body = { format: 'qcow2' }
    const link = await app.call<{ url: string }>('POST', '/api/images/small/links', body)
    assert.match(link.body.url, /small\.qcow2$/)
    const answer = await fetch(link.body.url)
    assert.equal(Buffer.from(await answer.arrayBuffer()).toString('latin1', 0, 3), 'QFI')
    const raw = await fetch(link.body.url.replace('.qcow2', '.img'))
    assert.equal(Buffer.from(await raw.arrayBuffer()).compare(disks['small']!), 0)
  })

  it('of a name that ends like a file is found by whoever reads its page again', async () => {
    const answer = await fetch(`${app.url}/images/disk.img`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, accept: 'text/html' },
      redirect: 'manual',
    })
    assert.equal(answer.headers.get('location'), '/images?q=disk.img')
    assert.equal((await get('disk.img')).answer.status, 404)
  })
})
