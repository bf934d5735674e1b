import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  mkdtempDisposableSync,
  openSync,
  readSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { crc32 } from 'node:zlib'
import { decodeGpt, detectSectorBytes, fitGpt, GptDecodeError } from '#protocol/disk/gpt.ts'
import { bootModes, findEsp, parsePartitionTable } from '#protocol/disk/partition-table.ts'

const MIB = 1_048_576
const DISK_BYTES = 64 * MIB

const GPT_SCRIPT = `label: gpt
label-id: 11111111-2222-3333-4444-555555555555
1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
2 : start=4096, size=16384, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI system"
5 : start=20480, size=32768, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, uuid=AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE, name="Würzel"
`

/** A disk file partitioned by sfdisk, an independent writer of tables. */
function diskFile(script: string) {
  const dir = mkdtempDisposableSync(join(tmpdir(), 'partition-table-'))
  const path = join(dir.path, 'disk.img')
  writeFileSync(path, '')
  truncateSync(path, DISK_BYTES)
  execFileSync('sfdisk', ['--quiet', path], { input: script, stdio: ['pipe', 'ignore', 'pipe'] })
  return { path, [Symbol.dispose]: () => dir[Symbol.dispose]() }
}

function headOf(path: string): Uint8Array {
  const head = new Uint8Array(MIB)
  const file = openSync(path, 'r')
  readSync(file, head, 0, MIB, 0)
  closeSync(file)
  return head
}

function headFrom(script: string): Uint8Array {
  using disk = diskFile(script)
  return headOf(disk.path)
}

/** With another number in its GPT, and checksums that fit. */
function forged(head: Uint8Array, at: number, value: number): Uint8Array {
  const disk = Buffer.from(head)
  disk.writeUInt32LE(value, at)
  const header = disk.subarray(512, 1024)
  const entriesBytes = header.readUInt32LE(80) * header.readUInt32LE(84)
  header.writeUInt32LE(crc32(disk.subarray(1024, 1024 + entriesBytes)), 88)
  header.writeUInt32LE(0, 16)
  header.writeUInt32LE(crc32(header.subarray(0, header.readUInt32LE(12))), 16)
  return disk
}

describe('parsePartitionTable', () => {
  it('lists the partitions of a GPT as sfdisk wrote them', () => {
    const head = headFrom(GPT_SCRIPT)
    const table = parsePartitionTable(head)
    assert.equal(table.kind, 'gpt')
    assert.equal(table.sectorBytes, 512)
    assert.deepEqual(
      table.partitions.map(({ number, startBytes, sizeBytes }) => [number, startBytes, sizeBytes]),
      [
        [1, MIB, MIB],
        [2, 2 * MIB, 8 * MIB],
        [5, 10 * MIB, 16 * MIB],
      ],
    )
    assert.equal(findEsp(table)?.name, 'EFI system')
    assert.equal(decodeGpt(head, 512).diskUuid, '11111111-2222-3333-4444-555555555555')
    assert.partialDeepStrictEqual(table.partitions[2], {
      type: '0fc63daf-8483-4772-8e79-3d69d8477de4',
      uuid: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee',
      name: 'Würzel',
    })
  })

  it('lists the partitions of an MBR, with the numbers and PARTUUIDs of the kernel', () => {
    const table = parsePartitionTable(
      headFrom(
        'label: dos\nlabel-id: 0x1234abcd\n1: start=2048,size=2048,type=83,bootable\n3: start=8192,type=ef\n',
      ),
    )
    assert.equal(table.kind, 'mbr')
    assert.deepEqual(table.partitions, [
      { number: 1, startBytes: MIB, sizeBytes: MIB, type: '0x83', uuid: '1234abcd-01' },
      { number: 3, startBytes: 4 * MIB, sizeBytes: 60 * MIB, type: '0xef', uuid: '1234abcd-03' },
    ])
    assert.deepEqual(bootModes(table), ['uefi'])
  })

  it('reads the same out of a Buffer, and leaves its bytes as they are', () => {
    for (const script of [GPT_SCRIPT, 'label: dos\nstart=2048, size=2048, type=83\n']) {
      const head = headFrom(script)
      const buffer = Buffer.from(head)
      assert.deepEqual(parsePartitionTable(buffer), parsePartitionTable(head))
      assert.ok(buffer.equals(head))
    }
  })

  it('says "none" of an empty disk and of a file system without a table', () => {
    assert.equal(parsePartitionTable(new Uint8Array(MIB)).kind, 'none')
    const fat = new Uint8Array(MIB).fill(0x61, 62, 510)
    fat.set([0x55, 0xaa], 510)
    assert.equal(parsePartitionTable(fat).kind, 'none')
  })

  it('counts code in sector 0 as bootable by BIOS', () => {
    const head = headFrom(GPT_SCRIPT)
    assert.deepEqual(bootModes(parsePartitionTable(head)), ['uefi'])
    head.set([0xeb, 0x63, 0x90])
    assert.deepEqual(bootModes(parsePartitionTable(head)), ['bios', 'uefi'])
  })

  it('refuses a GPT with any bit of header or entries flipped', () => {
    const head = headFrom(GPT_SCRIPT)
    for (const offset of [512 + 16, 512 + 41, 512 + 60, 1024, 1024 + 130, 1024 + 127 * 128]) {
      const damaged = head.slice()
      damaged[offset]! ^= 4
      assert.throws(() => parsePartitionTable(damaged, 512), GptDecodeError, `byte ${offset}`)
    }
  })

  it('refuses a GPT whose checksums are right and that cannot be', () => {
    const head = headFrom(GPT_SCRIPT)
    for (const [what, at, value] of [
      ['a header shorter than its fields', 512 + 12, 80],
      ['a header longer than its sector', 512 + 12, 600],
      ['a header of another sector', 512 + 24, 2],
      ['too many entries', 512 + 80, 4097],
      ['entries shorter than their fields', 512 + 84, 64],
      ['a partition that ends before it starts', 1024 + 40, 2047],
    ] as const)
      assert.throws(() => parsePartitionTable(forged(head, at, value), 512), GptDecodeError, what)
    for (const [at, value] of [
      [512 + 80, 4096],
      [1024 + 40, 2048],
    ] as const)
      assert.equal(parsePartitionTable(forged(head, at, value), 512).partitions.length, 3)
  })

  it('ignores a GPT header that no protective MBR covers', () => {
    const head = headFrom(GPT_SCRIPT)
    head.fill(0, 446, 510)
    assert.equal(parsePartitionTable(head).kind, 'none')
  })

  it('throws nothing but GptDecodeError for noise after the signature', () => {
    for (let round = 0; round < 200; round++) {
      const head = new Uint8Array(64 * 512)
      for (let index = 0; index < head.length; index++)
        head[index] = (index * 31 * (round + 7)) >> 3
      head.set(new TextEncoder().encode('EFI PART'), 512)
      head.set([0x55, 0xaa], 510)
      head[450] = 0xee
      assert.throws(() => parsePartitionTable(head, 512), GptDecodeError)
    }
  })
})

describe('detectSectorBytes', () => {
  it('finds the header where the sector size puts it', () => {
    const head = headFrom(GPT_SCRIPT)
    assert.equal(detectSectorBytes(head), 512)
    assert.equal(detectSectorBytes(new Uint8Array(MIB)), undefined)
    const large = new Uint8Array(MIB)
    large.set(head.subarray(512, 1024), 4096)
    assert.equal(detectSectorBytes(large), 4096)
  })

  it('prefers the sound header to a stale signature', () => {
    const head = headFrom(GPT_SCRIPT)
    const large = new Uint8Array(MIB)
    large.set(head.subarray(512, 1024), 4096)
    large.set(head.subarray(1024, 1024 + 128 * 128), 2 * 4096)
    large.set(new TextEncoder().encode('EFI PART'), 512)
    assert.equal(detectSectorBytes(large), 4096)
    head.set(new TextEncoder().encode('EFI PART'), 4096)
    assert.equal(detectSectorBytes(head), 512)
  })
})

describe('fitGpt', () => {
  it('gives a larger disk a GPT that sgdisk finds no fault with', () => {
    using disk = diskFile(GPT_SCRIPT)
    const gpt = decodeGpt(headOf(disk.path), 512)
    const largerBytes = 3 * DISK_BYTES
    truncateSync(disk.path, largerBytes)
    assert.match(verify(disk.path), /[1-9]\d* problems|backup/i)

    const { backup, primary } = fitGpt(gpt, largerBytes)
    assert.equal(backup.offsetBytes + backup.bytes.length, largerBytes)
    const file = openSync(disk.path, 'r+')
    for (const { offsetBytes, bytes } of [backup, primary])
      writeSync(file, bytes, 0, bytes.length, offsetBytes)
    closeSync(file)

    const found = verify(disk.path)
    assert.match(found, /No problems found/)
    // It would make a lost backup anew, and find no problem then.
    assert.doesNotMatch(found, /Caution|ERROR/)
    const grown = decodeGpt(headOf(disk.path), 512)
    assert.deepEqual(grown.partitions, gpt.partitions)
    assert.equal(grown.alternateLba, largerBytes / 512 - 1)
    assert.equal(grown.lastUsableLba, largerBytes / 512 - 34)
  })

  it('changes nothing on a disk of the size of the image', () => {
    const head = headFrom(GPT_SCRIPT)
    const { primary } = fitGpt(decodeGpt(head, 512), DISK_BYTES)
    assert.deepEqual(primary.bytes, head.subarray(512, 1024))
  })

  it('refuses a disk on which a partition would lie under the backup', () => {
    const gpt = decodeGpt(headFrom(GPT_SCRIPT), 512)
    assert.throws(() => fitGpt(gpt, 26 * MIB), RangeError)
    assert.doesNotThrow(() => fitGpt(gpt, 26 * MIB + 33 * 512))
  })
})

/** Newer sgdisk fails on a GPT that does not reach the end; the text says it either way. */
function verify(path: string): string {
  return execFileSync('sh', ['-c', 'sgdisk --verify "$0" 2>&1 || true', path], { encoding: 'utf8' })
}
