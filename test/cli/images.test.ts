import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile, readdir, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { openCutProxy } from './cut-proxy.ts'
import { createShell, type Shell } from './stampede.ts'

const DISK = diskContent({ chunks: 40 })

describe('stampede images', () => {
  let app: TestApp
  let shell: Shell
  before(async () => {
    app = await openTestApp({ realTime: true })
    shell = createShell(app.port)
    await writeFile(join(shell.home, 'disk.img'), DISK)
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })
  const image = async (name: string) => (await app.call<Image>('GET', `/api/images/${name}`)).body
  const exported = async (name: string) => {
    const response = await fetch(`http://127.0.0.1:${app.port}/images/${name}.img.gz`, {
      headers: { authorization: 'Bearer admin-token-of-the-tests' },
    })
    return gunzipSync(Buffer.from(await response.arrayBuffer()))
  }

  it('pushes a raw disk in chunks, and tells where it came from', async () => {
    const { code, stderr } = await shell.run([
      'images',
      'push',
      'disk.img',
      '--description',
      'For tests',
    ])
    assert.equal(code, 0, stderr)
    assert.equal(sha256(await exported('disk')), sha256(DISK))
    assert.partialDeepStrictEqual(await image('disk'), {
      sizeBytes: DISK.length,
      description: 'For tests',
      info: { source: 'upload of disk.img' },
    })
  })

  it('replaces an image only when told to', async () => {
    const { code, stderr } = await shell.run(['images', 'push', 'disk.img'])
    assert.equal(code, 6)
    assert.match(stderr, /add --replace/)
    assert.equal((await shell.run(['images', 'push', 'disk.img', '--replace'])).code, 0)
  })

  it('goes on where it was interrupted, and sends no chunk twice', async () => {
    const disk = randomBytes(96 * MIB)
    await writeFile(join(shell.home, 'large.img'), disk)
    await using proxy = await openCutProxy(app.port)
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` }
    const puts = () => proxy.requests().filter((line) => line.startsWith('PUT /chunks/'))
    const first = shell.start(['images', 'push', 'large.img'], { env })
    await first.until('20 chunks', () => puts().length >= 20)
    first.child.kill('SIGKILL')
    await first.ended
    assert.equal((await app.call('GET', '/api/images/large')).status, 404)

    const arrived = new Set<string>()
    for (const line of new Set(puts()))
      if ((await app.call('HEAD', line.slice(4))).status === 200) arrived.add(line)
    assert.ok(arrived.size > 0 && arrived.size < 97, `${arrived.size} chunks`)
    const before = puts().length
    const { code, stderr } = await shell.run(['images', 'push', 'large.img'], { env })
    assert.equal(code, 0, stderr)
    const again = puts()
      .slice(before)
      .filter((line) => arrived.has(line))
    assert.deepEqual(again, [])
    assert.equal((await image('large')).sizeBytes, disk.length)
  })

  it('waits for a server that is away, says so, and goes on', async () => {
    await writeFile(join(shell.home, 'patient.img'), randomBytes(64 * MIB))
    await using proxy = await openCutProxy(app.port)
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` }
    const push = shell.start(['images', 'push', 'patient.img'], { env })
    const puts = () => proxy.requests().filter((line) => line.startsWith('PUT /chunks/'))
    await push.until('8 chunks', () => puts().length >= 8)
    proxy.close()
    await push.waitFor('trying again')
    proxy.open()
    const { code, stderr } = await push.ended
    assert.equal(code, 0, stderr)
    assert.doesNotMatch(stderr, /at .*\.ts:/)
  })

  it('reads a qcow2 with qemu-img, and sends its content in chunks', async () => {
    execFileSync('qemu-img', ['convert', '-O', 'qcow2', '-c', 'disk.img', 'q.qcow2'], {
      cwd: shell.home,
    })
    const { code, stderr } = await shell.run(['images', 'push', 'q.qcow2'])
    assert.equal(code, 0, stderr)
    assert.equal((await image('q')).digest, (await image('disk')).digest)
    assert.match(stderr, /^0 bytes were sent/m)
    const left = (await readdir(shell.home)).filter((name) => name.startsWith('stampede-push-'))
    assert.deepEqual(left, [])
  })

  it('takes /var/tmp for an empty TMPDIR, and says so where there is no such folder', async () => {
    execFileSync('qemu-img', ['create', '-f', 'qcow2', 'empty.qcow2', '1M'], { cwd: shell.home })
    const push = (TMPDIR: string) =>
      shell.run(['images', 'push', 'empty.qcow2', '--replace'], { env: { TMPDIR } })
    assert.equal((await push('')).code, 0)
    const { code, stderr } = await push('/nowhere')
    assert.equal(code, 1)
    assert.match(stderr, /^Error: \/nowhere cannot be written: there is no such folder$/m)
  })

  it('refuses a qcow2 that would bring other files along', async () => {
    const cwd = shell.home
    execFileSync(
      'qemu-img',
      ['create', '-f', 'qcow2', '-b', '/etc/hostname', '-F', 'raw', 'thin.qcow2', '1M'],
      { cwd },
    )
    const { code, stderr } = await shell.run(['images', 'push', 'thin.qcow2'])
    assert.equal(code, 2)
    assert.match(stderr, /only what differs from \/etc\/hostname/)
  })

  it('sends a compressed file as it is, in pieces that go on after an interruption', async () => {
    const disk = randomBytes(40 * MIB)
    await writeFile(join(shell.home, 'packed.img.gz'), gzipSync(disk, { level: 1 }))
    await using proxy = await openCutProxy(app.port)
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` }
    const pieces = () => proxy.requests().filter((line) => line.startsWith('PATCH /api/uploads/'))
    const first = shell.start(['images', 'push', 'packed.img.gz'], { env })
    await first.until('3 pieces', () => pieces().length >= 3)
    first.child.kill('SIGKILL')
    await first.ended
    const before = pieces().length
    const { code, stderr } = await shell.run(['images', 'push', 'packed.img.gz'], { env })
    assert.equal(code, 0, stderr)
    assert.match(stderr, /Going on at byte [1-9]/)
    assert.ok(pieces().length - before <= 5, `${pieces().length - before} pieces`)
    assert.equal(new Set(pieces()).size, 1)
    assert.equal(sha256(await exported('packed')), sha256(disk))
  })

  it('begins anew when the server forgot the upload', async () => {
    await writeFile(join(shell.home, 'lost.img.gz'), gzipSync(randomBytes(40 * MIB), { level: 1 }))
    await using proxy = await openCutProxy(app.port)
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` }
    const first = shell.start(['images', 'push', 'lost.img.gz'], { env })
    const pieces = () => proxy.requests().filter((line) => line.startsWith('PATCH /api/uploads/'))
    await first.until('3 pieces', () => pieces().length >= 3)
    first.child.kill('SIGKILL')
    await first.ended
    const { body } = await app.call<{ items: { id: string; name: string }[] }>(
      'GET',
      '/api/uploads',
    )
    const { id } = body.items.find(({ name }) => name === 'lost')!
    while ((await app.call('DELETE', `/api/uploads/${id}`)).status === 409)
      await new Promise((done) => setTimeout(done, 50))
    const { code, stderr } = await shell.run(['images', 'push', 'lost.img.gz'], { env })
    assert.equal(code, 0, stderr)
  })

  it('refuses files that are no disks', async () => {
    await writeFile(join(shell.home, 'odd.img'), 'x'.repeat(1000))
    await writeFile(
      join(shell.home, 'vm.vmdk'),
      Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(2044)]),
    )
    for (const [file, reason] of [
      ['odd.img', /no whole number of sectors/],
      ['vm.vmdk', /VMDK file; convert it first/],
      ['nowhere.img', /there is no such file$/m],
      ['Über.img', /no name of an image/],
    ] as const) {
      const { code, stderr } = await shell.run(['images', 'push', file])
      assert.equal(code, 2, file)
      assert.match(stderr, reason)
    }
  })

  it('pulls an image as a sparse disk and as .img.gz, each byte checked', async () => {
    assert.equal((await shell.run(['images', 'pull', 'disk', '-o', 'got.img'])).code, 0)
    assert.equal((await shell.run(['images', 'pull', 'disk'])).code, 0)
    const got = join(shell.home, 'got.img')
    assert.equal(sha256(await readFile(got)), sha256(DISK))
    assert.ok((await stat(got)).blocks * 512 < DISK.length)
    assert.equal(sha256(gunzipSync(await readFile(join(shell.home, 'disk.img.gz')))), sha256(DISK))
    assert.equal((await shell.run(['images', 'pull', 'disk', '-o', 'got.img'])).code, 6)
  })

  it('goes on with a pull that was interrupted', async () => {
    await using proxy = await openCutProxy(app.port)
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` }
    const gets = () => proxy.requests().filter((line) => line.startsWith('GET /chunks/'))
    const first = shell.start(['images', 'pull', 'large', '-o', 'large.raw'], { env })
    await first.until('40 chunks', () => gets().length >= 40)
    first.child.kill('SIGKILL')
    await first.ended
    const before = gets().length
    const { code, stderr } = await shell.run(['images', 'pull', 'large', '-o', 'large.raw'], {
      env,
    })
    assert.equal(code, 0, stderr)
    assert.ok(gets().length - before < 90, `${gets().length - before} chunks`)
    const read = (name: string) => readFile(join(shell.home, name))
    assert.equal(sha256(await read('large.raw')), sha256(await read('large.img')))
  })

  it('finds damage in what an interrupted pull left', async () => {
    const { code } = await shell.run(['images', 'pull', 'large', '-o', 'whole.img.gz'])
    assert.equal(code, 0)
    const bytes = await readFile(join(shell.home, 'whole.img.gz'))
    bytes[5 * MIB]! ^= 1
    const response = await app.call('HEAD', '/images/large.img.gz')
    const [, digest = '', layout = ''] = /"(\w+)-(\w+)"/.exec(response.headers.get('etag')!)!
    await writeFile(
      join(shell.home, `bad.img.gz.${digest.slice(48)}-${layout}.part`),
      bytes.subarray(0, 6 * MIB),
    )
    const again = await shell.run(['images', 'pull', 'large', '-o', 'bad.img.gz'])
    assert.equal(again.code, 1)
    assert.match(again.stderr, /is damaged: .*; remove it and pull the image again/)
    await assert.rejects(stat(join(shell.home, 'bad.img.gz')), { code: 'ENOENT' })
  })

  it('notices a file that changes while it is pushed', async () => {
    const path = join(shell.home, 'moving.img')
    await writeFile(path, randomBytes(64 * MIB))
    await using proxy = await openCutProxy(app.port)
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` }
    const push = shell.start(['images', 'push', 'moving.img'], { env })
    const isSending = () => proxy.requests().some((line) => line.startsWith('PUT /chunks/'))
    await push.until('a chunk', isSending)
    await truncate(path, 80 * MIB)
    const { code, stderr } = await push.ended
    assert.equal(code, 1)
    assert.match(stderr, /changed while it was read/)
    assert.equal((await app.call('GET', '/api/images/moving')).status, 404)
  })

  it('renames, describes, links and deletes', async () => {
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await shell.run(['images', ...args])
      assert.equal(code, 0, stderr)
      return stdout
    }
    await run('rename', 'q', 'renamed')
    await run('describe', 'renamed', 'another note')
    assert.equal((await image('renamed')).description, 'another note')
    const url = (await run('link', 'renamed', '--hours', '1')).trim()
    const linked = await fetch(url.replace(/^http:\/\/[^/]+/, `http://127.0.0.1:${app.port}`), {
      method: 'HEAD',
    })
    assert.equal(linked.status, 200)
    await app.call('PUT', '/api/machines/52:54:00:00:00:01', { image: 'renamed' })
    assert.equal((await shell.run(['images', 'rm', 'renamed', '--yes'])).code, 6)
    await run('rm', 'renamed', '--yes', '--unassign')
    assert.equal((await app.call('GET', '/api/images/renamed')).status, 404)
  })
})
