import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtempDisposable, open, readFile, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { exec } from '#agent/exec.ts'
import type { ImageDirectory } from '#protocol/image/image-info.ts'
import { findBtrfsChecksum } from '#server/images/files/btrfs-checksum.ts'
import { IS_ROOT } from '#test/agent/system/loop-disk.ts'
import { MIB } from '#test/support/disk-content.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'
import { diskOfGroup, VOLUME_BYTES } from '#test/support/volume-group.ts'

const run = promisify(execFile)
const SBIN = { env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } }
const FSTAB = 'UUID=1 / btrfs defaults 0 1\n'
const BIG = randomBytes(3 * MIB + 123)
/** More than one unit of compression, and with a hole in it. */
const TEXT = `${'all the same line\n'.repeat(20_000)}end\n`

describe('one file of an image', () => {
  let app: TestApp
  let folder: Awaited<ReturnType<typeof mkdtempDisposable>>
  before(async () => {
    folder = await mkdtempDisposable(join(tmpdir(), 'stampede-volumes-'))
    app = await openTestApp()
    const root = join(folder.path, 'root')
    await mkdir(join(root, 'etc'), { recursive: true })
    await writeFile(join(root, 'etc/fstab'), FSTAB)
    await writeFile(join(root, 'big'), BIG)
    await writeFile(join(root, 'text'), TEXT)
    await symlink('../etc/fstab', join(root, 'etc/link'))
    for (let file = 0; file < 400; file++) await writeFile(join(root, `etc/file-${file}`), '')
  })
  after(async () => {
    await app[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  const put = async (name: string, bytes: Buffer) => {
    const sent = await app.call('PUT', `/api/images/${name}`, bytes)
    assert.equal(sent.status, 201, JSON.stringify(sent.body))
  }
  const get = async (name: string, path: string, more = '') => {
    const address = `/api/images/${name}/files?path=${encodeURIComponent(path)}${more}`
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const answer = await fetch(`${app.url}${address}`, { headers })
    const bytes = Buffer.from(await answer.arrayBuffer())
    return { status: answer.status, headers: answer.headers, bytes }
  }
  const text = async (...wanted: Parameters<typeof get>) => {
    const { status, bytes } = await get(...wanted)
    assert.equal(status, 200, bytes.toString())
    return bytes.toString()
  }
  const list = async (name: string, path: string) => {
    const address = `/api/images/${name}/tree?path=${encodeURIComponent(path)}`
    return (await app.call<ImageDirectory>('GET', address)).body
  }

  it('comes from btrfs, in one piece or in the tree, through links, and in lists', async () => {
    const file = join(folder.path, 'btrfs')
    await using made = await open(file, 'w')
    await made.truncate(128 * MIB)
    await run('mkfs.btrfs', ['-q', '-r', join(folder.path, 'root'), file], SBIN)
    await put('btrfs', await readFile(file))
    assert.equal(await text('btrfs', '/etc/fstab'), FSTAB)
    assert.equal(await text('btrfs', '/etc/link'), FSTAB)
    assert.equal((await get('btrfs', '/big')).bytes.compare(BIG), 0)
    const { items } = await list('btrfs', '/etc')
    assert.equal(items.length, 402)
    assert.ok(items.some(({ name, kind }) => name === 'link' && kind === 'symlink'))
    assert.equal((await get('btrfs', '/etc/none')).status, 404)
  })

  it(
    'is in the subvolume that has the root, compressed or with holes',
    { skip: !IS_ROOT && NEEDS_ROOT },
    async () => {
      const file = join(folder.path, 'subvolumes')
      await makeSubvolumes(file, join(folder.path, 'root'))
      await put('subvolumes', await readFile(file))
      assert.equal(await text('subvolumes', '/etc/fstab'), FSTAB)
      assert.equal(await text('subvolumes', '/zstd'), TEXT)
      assert.equal(await text('subvolumes', '/zlib'), TEXT)
      assert.equal(await text('subvolumes', '/inner/note'), 'inside\n')
      const holes = (await get('subvolumes', '/holes')).bytes
      assert.deepEqual(
        [holes.length, holes.indexOf('x'), holes.lastIndexOf('x')],
        [3 * MIB, MIB, MIB],
      )
      const lzo = await get('subvolumes', '/lzo')
      assert.match(lzo.bytes.toString(), /LZO/)
    },
  )

  for (const checksum of ['xxhash', 'sha256', 'blake2'])
    it(`comes from a btrfs whose checksums are ${checksum}`, async () => {
      const file = join(folder.path, checksum)
      await using made = await open(file, 'w')
      await made.truncate(128 * MIB)
      const source = ['-r', join(folder.path, 'root'), file]
      await run('mkfs.btrfs', ['-q', '--csum', checksum, ...source], SBIN)
      await put(checksum, await readFile(file))
      assert.equal(await text(checksum, '/etc/fstab'), FSTAB)
    })

  it('of a btrfs that somebody spoilt is an error, and no more', async () => {
    const spoilt = await readFile(join(folder.path, 'btrfs'))
    for (let at = 70_000; at < 64 * MIB; at += 257) spoilt[at] = 0xff
    await put('spoilt', spoilt)
    const answer = await app.call<{ error: { code: string } }>(
      'GET',
      '/api/images/spoilt/files?path=/etc/fstab',
    )
    assert.deepEqual([answer.status, answer.body.error.code], [422, 'unreadable-file-system'])
  })

  it('of a btrfs whose file ends in a hole without an end is read to its own', async () => {
    const endless = await readFile(join(folder.path, 'btrfs'))
    const extents = await changeNodes(endless, (node) => {
      for (const place of itemsIn(node, EXTENT_DATA)) {
        if (node.readUInt8(place + 20) !== 1) continue // in the tree itself
        node.writeBigUInt64LE(0n, place + 21)
        node.writeBigUInt64LE(1n << 62n, place + 45)
      }
    })
    assert.ok(extents > 0)
    await put('endless', endless)
    const { status, bytes } = await get('endless', '/big')
    assert.deepEqual([status, bytes.equals(Buffer.alloc(BIG.length))], [200, true])
  })

  it('of a btrfs whose nodes name the same one again and again is an error', async () => {
    const knotted = await readFile(join(folder.path, 'btrfs'))
    const knots = await changeNodes(knotted, (node) => {
      for (let index = 1; node.readUInt8(100) > 0 && index < node.readUInt32LE(96); index++)
        node.copy(node, 101 + index * 33 + 17, 101 + 17, 101 + 25)
    })
    assert.ok(knots > 0)
    await put('knotted', knotted)
    const answer = await app.call<{ error: { code: string; message: string } }>(
      'GET',
      '/api/images/knotted/tree?path=/etc',
    )
    assert.deepEqual([answer.status, answer.body.error.code], [422, 'unreadable-file-system'])
    assert.match(answer.body.error.message, /comes out of order/)
  })

  describe('in a logical volume', () => {
    before(async () => {
      const file = join(folder.path, 'ext4')
      await using made = await open(file, 'w')
      await made.truncate(VOLUME_BYTES)
      await run('mkfs.ext4', ['-q', '-d', join(folder.path, 'root'), file], SBIN)
      await put('volumes', diskOfGroup(await readFile(file)))
    })

    it('comes from one in several pieces on two partitions, and from a striped one', async () => {
      const found = await get('volumes', '/etc/fstab', '&volume=vg/split')
      assert.equal(found.bytes.toString(), FSTAB)
      assert.equal(decodeURIComponent(found.headers.get('x-stampede-volume')!), 'vg/split')
      assert.equal((await get('volumes', '/big', '&volume=vg/split')).bytes.compare(BIG), 0)
      assert.equal((await get('volumes', '/big', '&volume=vg/fast')).bytes.compare(BIG), 0)
      assert.equal((await get('volumes', '/etc/fstab')).status, 200)
      assert.deepEqual((await list('volumes', '/')).volumes, ['vg/split', 'vg/fast'])
    })

    it('is refused with what there is', async () => {
      const thin = await get('volumes', '/etc/fstab', '&volume=vg/thin')
      assert.equal(thin.status, 422)
      assert.match(thin.bytes.toString(), /volume vg\/thin: it is of type \\"thin\\"/)
      const none = await get('volumes', '/etc/fstab', '&volume=vg/none')
      assert.equal(none.status, 404)
    })
  })
})

const NODE_BYTES = 16_384
const EXTENT_DATA = 108

/** Changes nodes of a btrfs and makes their checksums right again; how many were changed. */
async function changeNodes(bytes: Buffer, change: (node: Buffer) => void): Promise<number> {
  const checksum = (await findBtrfsChecksum(0))!
  let changed = 0
  for (let at = MIB; at + NODE_BYTES <= bytes.length; at += 4096) {
    const node = bytes.subarray(at, at + NODE_BYTES)
    if (node.readBigUInt64LE(48) === 0n) continue
    if (!checksum(node.subarray(32)).equals(node.subarray(0, 4))) continue
    const before = Buffer.from(node)
    change(node)
    if (node.equals(before)) continue
    checksum(node.subarray(32)).copy(node)
    changed++
  }
  return changed
}

/** Where the data of items of this type begin in a leaf. */
function* itemsIn(node: Buffer, type: number): Generator<number> {
  if (node.readUInt8(100) > 0) return
  for (let index = 0; index < node.readUInt32LE(96); index++)
    if (node.readUInt8(101 + index * 25 + 8) === type)
      yield 101 + node.readUInt32LE(101 + index * 25 + 17)
}

/** Debian's `@rootfs`, with files that are compressed each in another way. */
async function makeSubvolumes(file: string, root: string): Promise<void> {
  await using made = await open(file, 'w')
  await made.truncate(160 * MIB)
  await exec('mkfs.btrfs', ['-q', file])
  await using mount = await mkdtempDisposable(join(tmpdir(), 'stampede-btrfs-'))
  await exec('mount', ['-o', 'loop', file, mount.path])
  try {
    const at = (path: string) => join(mount.path, '@rootfs', path)
    await exec('btrfs', ['subvolume', 'create', at('')])
    await exec('btrfs', ['subvolume', 'create', at('inner')])
    await writeFile(at('inner/note'), 'inside\n')
    await exec('cp', ['-r', join(root, 'etc'), at('etc')])
    for (const codec of ['zstd', 'zlib', 'lzo']) {
      await writeFile(at(codec), '')
      await exec('btrfs', ['property', 'set', at(codec), 'compression', codec])
      await writeFile(at(codec), TEXT)
    }
    await using holes = await open(at('holes'), 'w')
    await holes.write('x', MIB)
    await holes.truncate(3 * MIB)
  } finally {
    await exec('umount', [mount.path])
  }
}
