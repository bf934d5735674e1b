import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempDisposableSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { crc32, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { ImageRefusedError } from '#server/images/import/import-error.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { manifestOf, openTestStore, readDisk } from '#test/support/image-store.ts'

const DISK = diskContent({ chunks: 4, lastBytes: 1024 })
const SMALL = diskContent({ chunks: 1, lastBytes: 512 * 40 })

function filter(program: string, args: string[], input: Uint8Array): Buffer {
  return execFileSync(program, args, { input, maxBuffer: 64 * MIB })
}

function qcow2(disk: Uint8Array, options: string[] = []): Buffer {
  using dir = mkdtempDisposableSync(join(tmpdir(), 'stampede-qcow2-test-'))
  const raw = join(dir.path, 'raw')
  const path = join(dir.path, 'qcow2')
  writeFileSync(raw, disk)
  execFileSync('qemu-img', ['convert', '-O', 'qcow2', ...options, raw, path])
  return readFileSync(path)
}

/** Written by other programs than the ones that read them, where there are any. */
const FORMATS: Record<string, (disk: Uint8Array) => Uint8Array> = {
  raw: (disk) => disk,
  gzip: (disk) => filter('gzip', ['-1'], disk),
  'gzip of two members': (disk) =>
    Buffer.concat([gzipSync(disk.subarray(0, 700)), gzipSync(disk.subarray(700))]),
  'gzip padded with zeros': (disk) => Buffer.concat([gzipSync(disk), Buffer.alloc(100_000)]),
  xz: (disk) => filter('xz', ['-0'], disk),
  bzip2: (disk) => filter('bzip2', ['-1'], disk),
  zstd: (disk) => filter('zstd', ['-1'], disk),
  'zstd of two frames': (disk) =>
    Buffer.concat([zstdCompressSync(disk.subarray(0, 700)), zstdCompressSync(disk.subarray(700))]),
  qcow2: (disk) => qcow2(disk),
  'compressed qcow2': (disk) => qcow2(disk, ['-c']),
  'qcow2 of version 2': (disk) => qcow2(disk, ['-o', 'compat=0.10']),
  'qcow2 in gzip': (disk) => gzipSync(qcow2(disk)),
}

/** The .xz file format, sections 3.1 and 5.3.1: the dictionary's size is a code in the first block. */
function withHugeDictionary(xz: Buffer): Buffer {
  const start = 12
  const end = start + (xz[start]! + 1) * 4
  const header = xz.subarray(start, end)
  header[header.indexOf(Buffer.of(0x21, 1)) + 2] = 40
  header.writeUInt32LE(crc32(header.subarray(0, -4)), header.length - 4)
  return xz
}

describe('importImage', () => {
  for (const [name, encode] of Object.entries(FORMATS))
    it(`reads ${name} and keeps every byte`, async () => {
      await using store = await openTestStore()
      const image = await store.import(encode(DISK))
      assert.equal(manifestOf(image).sizeBytes, DISK.length)
      assert.equal(sha256(await readDisk(store.store, image)), sha256(DISK))
      assert.ok(!(await store.files()).some((file) => file.endsWith('.qcow2')))
    })

  it('stores equal chunks once, and zeros not at all', async () => {
    await using store = await openTestStore()
    const image = await store.import(Buffer.concat([DISK, Buffer.alloc(3 * MIB), DISK]))
    await store.import(DISK)
    const names = await store.files()
    assert.equal(new Set(names).size, names.length)
    const zeros = await store.import(Buffer.alloc(5 * MIB))
    assert.deepEqual(manifestOf(zeros).segments, [null])
    assert.equal((await store.files()).length, names.length)
    assert.equal(manifestOf(image).segments.length, 1)
  })

  it('refuses a file cut anywhere, whatever its format', async () => {
    await using store = await openTestStore()
    for (const [name, encode] of Object.entries(FORMATS)) {
      if (name === 'raw' || name.includes('padded')) continue
      const file = encode(SMALL)
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 2, max: file.length - 1 }), async (length) => {
          // Cut after its first member or frame, it is a whole file that holds no whole disk. A
          // qcow2 may lose zeros at its end, which then read as they would have.
          const image = await refusal(store.import(file.subarray(0, length)))
          if (image) assert.equal(sha256(await readDisk(store.store, image)), sha256(SMALL), name)
        }),
        { numRuns: name.includes('qcow2') ? 4 : 12 },
      )
    }
  })

  it('says in one line what is wrong with a file that was cut', async () => {
    await using store = await openTestStore()
    for (const name of ['gzip', 'xz', 'bzip2', 'zstd'])
      await assert.rejects(store.import(FORMATS[name]!(SMALL).subarray(0, -20)), {
        name: 'ImageRefusedError',
        message: new RegExp(
          `^The ${name} stream is damaged or cut short \\([^\\n]+[^;.]\\); upload`,
        ),
      })
  })

  it('refuses a file with any bit flipped, or reads the same disk', async () => {
    await using store = await openTestStore()
    // qcow2 has no checksum of its content, so only that nothing breaks can be asked of it.
    for (const name of ['gzip', 'xz', 'bzip2', 'zstd', 'qcow2'])
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.integer({ min: 0, max: 7 }), async (at, bit) => {
          const file = Buffer.from(FORMATS[name]!(SMALL))
          file[at % file.length]! ^= 1 << bit
          const image = await refusal(store.import(file))
          if (!image || name === 'qcow2') return
          // A flag, a time stamp, or the magic itself: then the file is stored as it is.
          const disk = await readDisk(store.store, image)
          assert.ok(disk.equals(SMALL) || disk.equals(file), `${name}, byte ${at % file.length}`)
        }),
        { numRuns: name === 'qcow2' ? 6 : 15 },
      )
    assert.ok(!(await store.files()).some((file) => file.endsWith('.qcow2')))
  })

  it('refuses more than the limit, whatever it inflates from', async () => {
    await using store = await openTestStore()
    for (const name of ['raw', 'gzip', 'xz', 'bzip2', 'zstd', 'qcow2']) {
      const body = FORMATS[name]!(Buffer.alloc(3 * MIB))
      await assert.rejects(
        store.import(body, { maxImageBytes: 2 * MIB }),
        { code: 'image-too-large' },
        name,
      )
    }
  })

  it('refuses an xz file that asks for 4 GiB of memory', async () => {
    await using store = await openTestStore()
    const file = Buffer.from(FORMATS['xz']!(DISK))
    await assert.rejects(store.import(withHugeDictionary(file)), { code: 'corrupt-upload' })
  })

  it('passes on the error of a broken connection', async () => {
    await using store = await openTestStore()
    const { importImage } = await import('#server/images/import/import-image.ts')
    for (const name of ['raw', 'gzip', 'xz', 'zstd', 'qcow2']) {
      const file = FORMATS[name]!(DISK)
      async function* breaking() {
        yield file.subarray(0, 70_000)
        throw new Error('aborted')
      }
      const { store: chunks, spoolFolder } = store
      const options = { store: chunks, spoolFolder, maxImageBytes: 2 ** 40 }
      await assert.rejects(importImage(breaking(), options), /aborted/, name)
    }
  })

  it('learns partitions, firmware and sector size from the disk', async () => {
    await using store = await openTestStore()
    using dir = mkdtempDisposableSync(join(tmpdir(), 'stampede-gpt-'))
    const path = join(dir.path, 'disk')
    writeFileSync(path, Buffer.alloc(8 * MIB))
    const script = 'label: gpt\nstart=2048, size=4096, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B\n'
    execFileSync('sfdisk', ['--quiet', path], { input: script, stdio: ['pipe', 'ignore', 'pipe'] })
    const { info } = await store.import(readFileSync(path))
    assert.equal(info.partitionTable, 'gpt')
    assert.deepEqual(info.bootModes, ['uefi'])
    assert.equal(info.partitions?.[0]?.sizeBytes, 2 * MIB)
  })
})

/** Undefined if it was refused; any other error is a failure of the test. */
async function refusal<Image>(importing: Promise<Image>): Promise<Image | undefined> {
  try {
    return await importing
  } catch (err) {
    if (err instanceof ImageRefusedError) return undefined
    throw err
  }
}
