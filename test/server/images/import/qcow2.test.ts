import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, describe, it } from 'node:test'
import { ByteInput } from '#server/images/import/byte-input.ts'
import { readQcow2 } from '#server/images/import/qcow2.ts'
import { checkQcow2Header } from '#server/images/import/qcow2-header.ts'
import { MIB } from '#test/support/disk-content.ts'
import { manifestOf, openTestStore } from '#test/support/image-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'stampede-hostile-'))
// The reader's own folders come here, apart from those of tests that run at the same time; it runs as
// nobody and must be able to pass.
chmodSync(folder, 0o755)
process.env['TMPDIR'] = folder
after(() => rmSync(folder, { recursive: true, force: true }))

const SECRET = join(folder, 'secret')
writeFileSync(SECRET, Buffer.alloc(MIB, 'secret of the host '))

function create(name: string, ...args: string[]): Buffer {
  const path = join(folder, name)
  execFileSync('qemu-img', [
    'create',
    '-q',
    '-f',
    'qcow2',
    ...args.slice(0, -1),
    path,
    args.at(-1)!,
  ])
  return readFileSync(path)
}

/** A sound file with some of its header's bytes replaced. */
function patched(at: number, bytes: number[], file = create('sound.qcow2', '4M')): Buffer {
  file.set(bytes, at)
  return file
}

const HOSTILE: Record<string, () => Buffer> = {
  'a backing file': () => create('backing.qcow2', '-b', SECRET, '-F', 'raw', '1M'),
  'an external data file': () =>
    create('external.qcow2', '-o', `data_file=${join(folder, 'data.raw')}`, '1M'),
  // Its header is all that is looked at; making a real one measures the processor, and may fail.
  'LUKS encryption': () => patched(35, [2]),
  'AES encryption': () => patched(35, [1]),
  'an unknown incompatible feature': () => patched(79, [0x80]),
  'the mark of corruption': () => patched(79, [0x02]),
  'version 1': () => patched(7, [1]),
  'clusters of 4 GiB': () => patched(23, [32]),
  'header extensions without an end': () => patched(104, Array<number>(65_000).fill(1)),
  'a header length beyond the file': () => patched(100, [0xff, 0xff, 0xff, 0xf8]),
}

/** What the kernel says of the child of ours that reads. */
function lookAtReader(): { status: string; limits: string } {
  const text = execFileSync('ps', ['-o', 'pid=,comm=', '--ppid', String(process.pid)], {
    encoding: 'utf8',
  })
  const pid = /^ *(\d+) qemu-nbd$/m.exec(text)?.[1]
  const read = (name: string) => readFileSync(`/proc/${pid}/${name}`, 'latin1')
  return { status: read('status'), limits: read('limits') }
}

describe('a hostile qcow2 file', () => {
  for (const [name, make] of Object.entries(HOSTILE))
    it(`with ${name} is refused, and nothing is left of it`, async () => {
      await using store = await openTestStore()
      await assert.rejects(store.import(make()), { code: 'refused-qcow2' })
      assert.deepEqual(await store.files(), [])
    })

  it('is refused by its header alone, before the rest is received', async () => {
    await using store = await openTestStore()
    const { importImage } = await import('#server/images/import/import-image.ts')
    let received = 0
    async function* endless() {
      yield HOSTILE['a backing file']!()
      for (; received < 100; received++) yield Buffer.alloc(MIB)
    }
    const options = { store: store.store, spoolFolder: store.spoolFolder, maxImageBytes: 2 ** 40 }
    await assert.rejects(importImage(endless(), options), { code: 'refused-qcow2' })
    assert.equal(received, 0)
  })

  it('with a disk beyond the limit is refused', async () => {
    const huge = create('huge.qcow2', '-o', 'cluster_size=2M', '60T')
    assert.throws(() => checkQcow2Header(huge, 2 ** 40), { code: 'image-too-large' })
  })

  it('whose tables point nowhere is refused', async () => {
    await using store = await openTestStore()
    const file = create('tables.qcow2', '4M')
    file.writeBigUInt64BE(0x7000_0000n, 40)
    await assert.rejects(store.import(file), { code: 'corrupt-upload' })
    assert.deepEqual(await store.files(), [])
  })

  it('that repeats one cluster for a whole disk costs no space', async () => {
    await using store = await openTestStore()
    const path = join(folder, 'bomb.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '64M'])
    execFileSync('qemu-io', ['-c', 'write -P 7 0 64k', path], { stdio: 'ignore' })
    const file = readFileSync(path)
    const l1 = Number(file.readBigUInt64BE(40))
    const l2 = Number(file.readBigUInt64BE(l1) & 0x00ff_ffff_ffff_fe00n)
    // Every cluster of the disk is the one that holds data.
    for (let entry = 1; entry < 1024; entry++) file.copy(file, l2 + entry * 8, l2, l2 + 8)
    const image = await store.import(file)
    assert.equal(manifestOf(image).sizeBytes, 64 * MIB)
    assert.equal((await store.files()).length, 2) // one chunk, one segment
  })

  it('is read by a process without privileges, and with limits', async () => {
    await using store = await openTestStore()
    const { spoolFolder } = store
    const path = join(folder, 'watched.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '4M'])
    execFileSync('qemu-io', ['-c', 'write -P 7 0 4M', path], { stdio: 'ignore' })
    await using input = new ByteInput(Readable.from([readFileSync(path)]))
    let looks = 0
    for await (const _piece of readQcow2(input, { spoolFolder, maxImageBytes: 2 ** 40 })) {
      if (looks++ > 0) continue
      const { status, limits } = lookAtReader()
      assert.match(status, /^NoNewPrivs:\t1$/m)
      assert.match(status, /^CapEff:\t0+$/m)
      if (process.getuid?.() === 0) assert.match(status, /^Uid:(\t65534){4}$/m)
      assert.match(limits, /^Max address space +2147483648 +2147483648 /m)
      assert.match(limits, /^Max file size +0 +0 /m)
      assert.match(limits, /^Max cpu time +\d+ +\d+ /m)
    }
    assert.ok(looks > 0)
  })

  it('leaves no reader running, and no folder of one', async () => {
    await using store = await openTestStore()
    await store.import(create('plain.qcow2', '4M'))
    const readers = execFileSync('sh', ['-c', `ps -o args= --ppid ${process.pid} || true`])
    assert.doesNotMatch(readers.toString(), /qemu-nbd/)
    assert.deepEqual(
      readdirSync(tmpdir()).filter((name) => name.startsWith('stampede-qcow2-')),
      [],
    )
  })
})
