import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  mkdir,
  mkdtempDisposable,
  open,
  readdir,
  readFile,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import type { ImageDirectory } from '#protocol/image/image-info.ts'
import { MIB } from '#test/support/disk-content.ts'
import { addToken } from '#test/support/accounts.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const run = promisify(execFile)
const FSTAB = 'UUID=1 / ext4 defaults 0 1\n'
const BIG = randomBytes(3 * MIB + 123)

type Refusal = { error: { code: string; message: string } }

/** Partitions of the disk, in MiB. */
const PARTITIONS = {
  fat: { number: 1, start: 1, size: 16 },
  ext: { number: 2, start: 17, size: 16 },
  xfs: { number: 3, start: 33, size: 300 },
  ntfs: { number: 4, start: 333, size: 8 },
  swap: { number: 5, start: 341, size: 4 },
} as const
const DISK_MIB = 346

/** A disk with the four, made by the tools of each, as nobody's root. */
async function makeDisk(folder: string): Promise<string> {
  const root = join(folder, 'root')
  await mkdir(join(root, 'etc/deep'), { recursive: true })
  await mkdir(join(root, 'usr/lib'), { recursive: true })
  await writeFile(join(root, 'etc/fstab'), FSTAB)
  await writeFile(join(root, 'etc/with space "quoted"'), 'odd\n')
  await writeFile(join(root, 'big'), BIG)
  await writeFile(join(root, 'usr/lib/os-release'), 'ID=debian\n')
  await symlink('../usr/lib/os-release', join(root, 'etc/os-release'))
  await symlink('/etc/../../../../etc/fstab', join(root, 'etc/absolute'))
  await symlink('../../../../../../../../etc/passwd', join(root, 'etc/escape'))
  await symlink('loop', join(root, 'etc/loop'))
  await symlink(`${'./'.repeat(60)}fstab`, join(root, 'etc/long'))
  await symlink('usr/lib', join(root, 'lib'))
  const disk = join(folder, 'disk.raw')
  await using file = await open(disk, 'w')
  await file.truncate(DISK_MIB * MIB)
  const script = Object.values(PARTITIONS).map(
    ({ start, size }) => `start=${start * 2048}, size=${size * 2048}`,
  )
  const table = run('sfdisk', ['-q', disk])
  table.child.stdin!.end(`label: gpt\n${script.join('\n')}\n`)
  await table
  for (const [kind, { start, size }] of Object.entries(PARTITIONS)) {
    const part = join(folder, `${kind}.part`)
    await using made = await open(part, 'w')
    await made.truncate(size * MIB)
    await FORMAT[kind as keyof typeof PARTITIONS](part, root, folder)
    const seek = [`seek=${start}`, 'bs=1M', 'conv=notrunc,sparse']
    await run('dd', [`if=${part}`, `of=${disk}`, ...seek])
  }
  const upload = join(folder, 'disk.qcow2')
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', disk, upload])
  return upload
}

const SBIN = { env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } }
const FORMAT = {
  async fat(part: string, root: string) {
    await run('mkfs.vfat', ['-F', '16', part], SBIN)
    await run('mmd', ['-i', part, '::EFI', '::EFI/BOOT'])
    await run('mcopy', ['-i', part, join(root, 'etc/fstab'), '::EFI/BOOT/grub.cfg'])
  },
  async ext(part: string, root: string) {
    await run('mkfs.ext4', ['-q', '-d', root, part], SBIN)
  },
  async xfs(part: string, root: string, folder: string) {
    const lines = ['/', '0 0', 'd--755 0 0', 'etc d--755 0 0']
    lines.push(`fstab ---644 0 0 ${join(root, 'etc/fstab')}`, 'link l--777 0 0 ../big', '$')
    lines.push(`big ---600 0 0 ${join(root, 'big')}`, '$', '')
    const proto = join(folder, 'proto')
    await writeFile(proto, lines.join('\n'))
    await run('mkfs.xfs', ['-q', '-f', '-p', proto, part], SBIN)
  },
  async ntfs(part: string, root: string) {
    await run('mkntfs', ['-Q', '-F', '-q', part], SBIN)
    await run('ntfscp', ['-q', part, join(root, 'etc/fstab'), 'boot.ini'], SBIN)
  },
  async swap(part: string) {
    await run('mkswap', [part], SBIN)
  },
}

describe('one file of an image', () => {
  let app: TestApp
  let folder: Awaited<ReturnType<typeof mkdtempDisposable>>
  before(async () => {
    folder = await mkdtempDisposable(join(tmpdir(), 'stampede-image-files-'))
    app = await openTestApp()
    const disk = await readFile(await makeDisk(folder.path))
    const sent = await app.call('PUT', '/api/images/system', disk)
    assert.equal(sent.status, 201, JSON.stringify(sent.body))
  })
  after(async () => {
    await app[Symbol.asyncDispose]()
    await folder[Symbol.asyncDispose]()
  })

  const address = (path: string, partition?: number) =>
    `path=${encodeURIComponent(path)}${partition === undefined ? '' : `&partition=${partition}`}`
  async function get(path: string, partition?: number) {
    const answer = await fetch(`${app.url}/api/images/system/files?${address(path, partition)}`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    })
    return {
      status: answer.status,
      headers: answer.headers,
      bytes: Buffer.from(await answer.arrayBuffer()),
    }
  }
  const text = async (path: string, partition?: number) => {
    const { status, bytes } = await get(path, partition)
    assert.equal(status, 200, `${path}: ${bytes.toString()}`)
    return bytes.toString()
  }
  const list = (path: string, partition?: number) =>
    app.call<ImageDirectory & Refusal>('GET', `/api/images/system/tree?${address(path, partition)}`)
  const code = async (path: string, partition?: number) => {
    const { status, bytes } = await get(path, partition)
    return [status, (JSON.parse(bytes.toString()) as Refusal).error.code]
  }

  it('comes from ext4, large or with an odd name too', async () => {
    const { ext } = PARTITIONS
    const { headers, bytes } = await get('/etc/fstab', ext.number)
    assert.equal(bytes.toString(), FSTAB)
    assert.equal(headers.get('content-length'), String(FSTAB.length))
    assert.equal(headers.get('x-stampede-partition'), '2')
    assert.match(headers.get('content-disposition')!, /fstab$/)
    assert.equal((await get('/big', 2)).bytes.compare(BIG), 0)
    assert.equal(await text('/etc/with space "quoted"', 2), 'odd\n')
  })

  it('is found through links, which stay inside the image', async () => {
    assert.equal(await text('/etc/os-release', 2), 'ID=debian\n')
    assert.equal(await text('/lib/../lib/os-release', 2), 'ID=debian\n')
    assert.equal(await text('/etc/absolute', 2), FSTAB)
    assert.equal(await text('/etc/long', 2), FSTAB)
    assert.equal(await text('/../../etc/fstab', 2), FSTAB)
    // The image has no /etc/passwd, and the server has one.
    assert.deepEqual(await code('/etc/escape', 2), [404, 'no-such-file'])
    assert.deepEqual(await code('/../../etc/passwd', 2), [404, 'no-such-file'])
    assert.deepEqual(await code('/etc/loop', 2), [404, 'no-such-file'])
  })

  it('comes from XFS, FAT and NTFS', async () => {
    assert.equal(await text('/etc/fstab', 3), FSTAB)
    assert.equal((await get('/etc/link', 3)).bytes.compare(BIG), 0)
    assert.equal(await text('/EFI/boot/GRUB.CFG', 1), FSTAB)
    assert.equal(await text('/boot.ini', 4), FSTAB)
    // As Windows has it, whatever the case.
    assert.equal(await text('/BOOT.INI', 4), FSTAB)
    const { body } = await list('/Boot.ini', 4)
    assert.equal(body.path, '/boot.ini')
  })

  it('is looked for where the root is, if nobody says where', async () => {
    // The largest with a file system of Linux, until somebody knows better.
    assert.equal((await get('/etc/fstab')).headers.get('x-stampede-partition'), '3')
    await app.call('PUT', '/api/images/system/info', {
      ...(await app.call<{ info: object }>('GET', '/api/images/system')).body.info,
      rootPartition: 2,
    })
    assert.equal((await get('/etc/fstab')).headers.get('x-stampede-partition'), '2')
    assert.equal((await get('/etc/fstab', 3)).headers.get('x-stampede-partition'), '3')
  })

  it('is in the list of its directory', async () => {
    assert.deepEqual((await list('/etc', 2)).body, {
      partition: 2,
      path: '/etc',
      items: [
        { name: 'absolute', kind: 'symlink' },
        { name: 'deep', kind: 'directory' },
        { name: 'escape', kind: 'symlink' },
        { name: 'fstab', kind: 'file', sizeBytes: FSTAB.length },
        { name: 'long', kind: 'symlink' },
        { name: 'loop', kind: 'symlink' },
        { name: 'os-release', kind: 'symlink' },
        { name: 'with space "quoted"', kind: 'file', sizeBytes: 4 },
      ],
    })
    const names = async (path: string, partition: number) =>
      (await list(path, partition)).body.items.map(({ name, kind }) => `${name} ${kind}`)
    assert.deepEqual(await names('/etc', 3), ['fstab file', 'link symlink'])
    assert.deepEqual(await names('/EFI', 1), ['BOOT directory'])
    assert.ok((await names('/', 4)).includes('boot.ini file'))
  })

  it('is refused with what to do', async () => {
    for (const [path, partition, status, expected] of [
      ['/nothing', 2, 404, 'no-such-file'],
      ['/etc', 2, 422, 'not-a-file'],
      ['/etc/fstab/x', 2, 422, 'not-a-directory'],
      ['etc/fstab', 2, 400, 'bad-path'],
      ['/etc/fstab\nquit', 2, 400, 'bad-path'],
      ['/etc/fstab', 9, 404, 'no-such-partition'],
      ['/etc/fstab', 5, 422, 'unreadable-file-system'],
      ['/a*', 1, 404, 'no-such-file'],
      ['/etc/with space', 3, 400, 'bad-path'],
    ] as const)
      assert.deepEqual(await code(path, partition), [status, expected], path)
    const [none, odd] = [await get('/etc/fstab', 9), await get('/etc/fstab', 5)]
    assert.match(none.bytes.toString(), /no partition 9; the image has partitions 1, 2, /)
    assert.match(odd.bytes.toString(), /nothing of the kind \(partition 5: /)
    // Where nobody said where, it is told.
    const nowhere = await get('/nothing')
    assert.match(nowhere.bytes.toString(), /looked for on partition 2; name another/)
    const missing = await app.call('GET', '/api/images/nowhere/files?path=/x')
    assert.equal(missing.status, 404)
  })

  it('is for operators, and each look is in the audit log', async () => {
    const viewer = (await addToken(app, { role: 'viewer' })).secret
    for (const kind of ['files', 'tree'])
      assert.equal(
        (
          await app.call('GET', `/api/images/system/${kind}?path=/etc/fstab`, undefined, {
            token: viewer,
          })
        ).status,
        403,
      )
    await get('/etc/fstab', 2)
    const { body } = await app.call<{ items: unknown[] }>(
      'GET',
      '/api/audit?action=image.read-file',
    )
    assert.partialDeepStrictEqual(body.items[0], {
      target: { kind: 'image', id: 'system' },
      status: 200,
      details: { path: '/etc/fstab', partition: 2 },
    })
  })

  it('comes from a disk without partitions', async () => {
    const whole = await readFile(join(folder.path, 'ext.part'))
    assert.equal((await app.call('PUT', '/api/images/whole', whole)).status, 201)
    const found = await app.call('GET', '/api/images/whole/files?path=/etc/fstab')
    assert.deepEqual([found.status, found.body], [200, FSTAB])
    assert.equal(found.headers.get('x-stampede-partition'), '0')
    // Unpacked for whoever looks on, but only so many.
    assert.ok((await readdir(join(app.dataFolder, 'spool'))).length <= 4)
  })

  it('of a file system that somebody spoilt is an error, and no more', async () => {
    const spoilt = await readFile(join(folder.path, 'ext.part'))
    spoilt.fill(0xff, 4096, 8 * MIB)
    await app.call('PUT', '/api/images/spoilt', spoilt)
    const found = await app.call<Refusal>('GET', '/api/images/spoilt/files?path=/etc/fstab')
    assert.deepEqual([found.status, found.body.error.code], [422, 'unreadable-file-system'])
    assert.equal((await get('/etc/fstab', 2)).status, 200)
  })
})
