import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { Image } from '#protocol/image/image-info.ts'
import type { ImageLink } from '#protocol/image/image-link.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { createShell, type Shell } from './stampede.ts'

const BASE = diskContent({ chunks: 3 })

/** Content that differs with the number, over a table of a qcow2 file and a half. */
function disk(seed: number): Buffer {
  const content = Buffer.alloc(20 * MIB)
  content.set(BASE)
  content.fill(seed, 18 * MIB + 5, 19 * MIB)
  return content
}

describe('stampede images, as a library', () => {
  let app: TestApp
  let shell: Shell
  before(async () => {
    app = await openTestApp({ realTime: true, env: { STAMPEDE_PULL_LOCAL: '1' } })
    shell = createShell(app.port)
    for (const seed of [1, 2, 3]) {
      await writeFile(join(shell.home, `disk${seed}.img`), disk(seed))
      const more = seed === 3 ? ['--no-promote'] : ['--replace']
      await run('push', `disk${seed}.img`, '--name', 'web', ...more)
    }
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })

  async function run(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await shell.run(['images', ...args])
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    return stdout
  }
  const image = async (reference: string) =>
    JSON.parse(await run('show', reference, '--json')) as Image
  const file = (name: string) => readFile(join(shell.home, name))

  it('shows what a name stood for, promotes, and rolls back', async () => {
    assert.match(await run('versions', 'web'), /^ +3 .*\n +2 +promoted .*\n +1 /m)
    assert.match(await run('ls'), /web .* 2 of 3 /)
    assert.equal((await image('web')).version, 2)
    assert.match(await run('promote', 'web@latest'), /stands for version 3 now/)
    assert.match(await run('rollback', 'web'), /stands for version 2 now/)
    assert.match(await run('rollback', 'web', '--to', '1'), /stands for version 1 now/)
    assert.match(await run('promote', 'web@2'), /stands for version 2 now/)
    const { code, stderr } = await shell.run(['images', 'promote', 'web'])
    assert.deepEqual([code, /such as web@3/.test(stderr)], [2, true])
    // What was pushed beside what is in use was learnt of that version alone.
    assert.match((await image('web@3')).info.source!, /disk3\.img/)
  })

  it('saves every version in every format, checked', async () => {
    await run('pull', 'web@1', '--format', 'raw')
    assert.equal(sha256(await file('web@1.img')), sha256(disk(1)))
    await run('pull', 'web@3', '-o', 'three.img.zst')
    execFileSync('zstd', ['-q', '-d', '-f', 'three.img.zst'], { cwd: shell.home })
    assert.equal(sha256(await file('three.img')), sha256(disk(3)))
    await run('pull', 'web')
    assert.equal(sha256(gunzipSync(await file('web.img.gz'))), sha256(disk(2)))
    await run('pull', 'web@3', '--format', 'qcow2')
    const args = ['-f', 'qcow2', '-F', 'raw', 'web@3.qcow2', 'disk3.img']
    execFileSync('qemu-img', ['compare', ...args], { cwd: shell.home })
    const { code, stderr } = await shell.run(['images', 'pull', 'web', '--format', 'vmdk'])
    assert.deepEqual([code, /must be raw, gz, zst, qcow2/.test(stderr)], [2, true])
    for (const [output, words] of [
      ['web.vmdk', /would be no vmdk: .*qcow2/],
      ['none/web.img', /none\/web.img cannot be written: there is no such folder/],
    ] as const) {
      const refused = await shell.run(['images', 'pull', 'web', '-o', output])
      assert.deepEqual([refused.code, words.test(refused.stderr)], [2, true], refused.stderr)
    }
  })

  it('does not take a qcow2 file for good in which a byte differs', async () => {
    const { answer, etag } = await head('web.qcow2')
    // As if a pull had been interrupted right before its end.
    const name = etag!.replace(/[^0-9a-z-]/g, '').replace(/^.{48}/, '')
    const part = join(shell.home, `spoilt.qcow2.${name}.part`)
    await writeFile(part, Buffer.from(await answer.arrayBuffer()))
    const bytes = await readFile(part)
    bytes[bytes.length - 600_000]! ^= 1
    await writeFile(part, bytes)
    const { code, stderr } = await shell.run(['images', 'pull', 'web', '-o', 'spoilt.qcow2'])
    assert.equal(code, 1)
    assert.match(stderr, /is damaged: the content differs at byte/)
  })

  it('says that a disk is full, keeps what came, and does not blame the server', async () => {
    const { etag } = await head('web.qcow2')
    const name = etag!.replace(/[^0-9a-z-]/g, '').replace(/^.{48}/, '')
    const part = `full.qcow2.${name}.part`
    await symlink('/dev/full', join(shell.home, part))
    const pulled = await shell.run(['images', 'pull', 'web', '-o', 'full.qcow2'])
    assert.equal(pulled.code, 1)
    assert.ok(pulled.stderr.includes(`${part} cannot be written: its disk is full`), pulled.stderr)
    assert.ok(pulled.stderr.includes(`What came is kept in ${part}; the same command goes on`))
    assert.doesNotMatch(pulled.stderr, /No answer/)
  })

  it('writes over no folder', async () => {
    await mkdir(join(shell.home, 'folder'))
    for (const command of [
      ['pull', 'web', '-o', 'folder', '--force'],
      ['get', 'web', '/etc/hosts', '-o', 'folder', '--force'],
    ]) {
      const { code, stderr } = await shell.run(['images', ...command])
      assert.deepEqual([code, stderr], [2, 'Error: folder is a folder; name a file in it\n'])
    }
  })

  async function head(name: string) {
    const answer = await fetch(`http://127.0.0.1:${app.port}/images/${name}`, {
      headers: { authorization: 'Bearer admin-token-of-the-tests' },
    })
    return { answer, etag: answer.headers.get('etag') }
  }

  it('links to a version in a format', async () => {
    const url = (await run('link', 'web@1', '--format', 'raw')).trim()
    assert.match(url, /web@1\.img$/)
    const answer = await fetch(url)
    assert.equal(sha256(Buffer.from(await answer.arrayBuffer())), sha256(disk(1)))
    const long = await shell.run(['images', 'link', 'web', '--hours', '721'])
    assert.deepEqual([long.code, /must be a number up to 720/.test(long.stderr)], [2, true])
  })

  it('lists links, and revokes them', async () => {
    const url = (await run('link', 'web@2')).trim()
    const items = async (...image: string[]) => {
      const list = JSON.parse(await run('links', ...image, '--json')) as { items: ImageLink[] }
      return list.items
    }
    const [made] = await items()
    assert.ok(made)
    assert.deepEqual([made.image, made.createdBy], ['web@2', 'admin'])
    assert.deepEqual((await items('web@2')).length, 1)
    assert.match(await run('links', 'web'), new RegExp(`${made.id} +web@2 +[0-9a-f]{12} +admin`))
    assert.equal(await run('unlink', made.id), `Link ${made.id} opens nothing any more\n`)
    assert.equal((await fetch(url)).status, 404)
    assert.deepEqual(await items('web@2'), [])
    const again = await shell.run(['images', 'unlink', made.id])
    assert.deepEqual(
      [again.code, again.stderr],
      [3, `Error: There is no link ${made.id}, or it is over already\n`],
    )
    const unknown = await shell.run(['images', 'unlink', 'web'])
    assert.equal(unknown.code, 2)
  })

  it('says that all versions of an image go with it', async () => {
    const asked = await shell.run(['images', 'rm', 'web'])
    assert.equal(asked.code, 2)
    assert.match(asked.stderr, /^Will be deleted: web with all its 3 versions$/m)
    const one = await shell.run(['images', 'rm', 'web@1'])
    assert.match(one.stderr, /^Will be deleted: web@1$/m)
  })

  it('tells what retention would remove before it does', async () => {
    assert.match(await run('retention', 'web'), /the newest 10 \(the server's settings\)/)
    assert.match(await run('retention', 'web', '--keep', '1', '--dry-run'), /Would go: none/)
    // The link of the test before holds version 1, being promoted holds version 2.
    const shown = await run('retention', 'web', '--keep', '1')
    assert.match(
      shown,
      / version 3: by this rule\n {2}version 2: promoted\n {2}version 1: a link\nRemoved: none/,
    )
    const preview = await run('retention', 'web', '--default', '--dry-run')
    assert.match(preview, /the newest 10 \(the server's settings\).*Would go: none/s)
    assert.match(await run('retention', 'web', '--all', '--dry-run'), /^Kept: every version$/m)
    assert.match(await run('retention', 'web'), /^Kept: the newest 1$/m, 'previews save nothing')
    assert.match(await run('retention', 'web', '--default'), /settings/)
    await run('rm', 'web@latest', '--yes')
    assert.doesNotMatch(await run('versions', 'web'), /^ +3 /m)
    const { code, stderr } = await shell.run(['images', 'rm', 'web@2', '--yes'])
    assert.deepEqual([code, /promote another first/.test(stderr)], [6, true])
  })

  it('has the server fetch an image, and waits for it', async () => {
    const server = createServer((request, response) => {
      if (request.headers['x-key'] !== 'letmein') response.writeHead(403).end()
      else response.end(gzipSync(disk(9), { level: 1 }))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/web.img.gz`
      const got = await run('import', '--header', 'X-Key: letmein', 'fetched', url)
      assert.match(got, /Source +pull of http/)
      const { code, stderr } = await shell.run(['images', 'import', 'fetched', url])
      assert.deepEqual([code, /answers 403/.test(stderr)], [1, true])
      assert.match(await run('imports'), /failed .*answers 403/s)
    } finally {
      server.close()
    }
  })

  it('prints and saves a file of an image', async () => {
    const root = join(shell.home, 'root')
    await mkdir(join(root, 'etc'), { recursive: true })
    await writeFile(join(root, 'etc/fstab'), 'UUID=1 / ext4\n')
    const part = join(shell.home, 'part.img')
    await writeFile(part, '')
    await truncate(part, 16 * MIB)
    const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` }
    execFileSync('mkfs.ext4', ['-q', '-d', root, part], { env })
    await run('push', 'part.img', '--name', 'system')
    assert.equal(await run('get', 'system', '/etc/fstab'), 'UUID=1 / ext4\n')
    await run('get', 'system@1', '/etc/fstab', '-o', 'saved')
    assert.equal((await file('saved')).toString(), 'UUID=1 / ext4\n')
    assert.equal(
      (await shell.run(['images', 'get', 'system', '/etc/fstab', '-o', 'saved'])).code,
      6,
    )
    assert.match(await run('ls-files', 'system', '/etc'), /fstab +file +14 bytes/)
    await symlink('/dev/full', join(shell.home, 'full'))
    const full = await shell.run(['images', 'get', 'system', '/etc/fstab', '-fo', 'full'])
    assert.equal(full.code, 1)
    assert.match(full.stderr, /^Error: full cannot be written: its disk is full/)
    const missing = await shell.run(['images', 'get', 'system', '/etc/shadow'])
    assert.deepEqual([missing.code, /no "\/etc\/shadow"/.test(missing.stderr)], [3, true])
  })
})
