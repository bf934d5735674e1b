import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { openMount } from '#agent/system/mount.ts'
import { IS_ROOT, mib, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { openNtfs } from '#test/support/file-system-disk.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openCapturedDisk, type CapturedDisk } from './captured-disk.ts'

const SWAP_BYTES = mib(16)
const FILE_BYTES = mib(12)
const UUID = '6fb4a2ab-2b3a-4c79-8d6e-5a0f7b3a1d11'

describe('what no copy needs is left out', { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  it('swap space, of which the header arrives', async () => {
    await using disk = await captureSwap(async () => {})
    assert.deepEqual(disk.info.leftOut, [
      { partition: 1, what: 'swap space', bytes: SWAP_BYTES - 4096 },
    ])
    await assertSwapOnly(disk)
    assert.deepEqual(
      await readAt(disk.target.partition(1), 0, 4096),
      await readAt(disk.source.partition(1), 0, 4096),
    )
  })

  it('a system that sleeps in swap space: nobody wakes it up in a copy', async () => {
    await using disk = await captureSwap(hibernate)
    assert.match(disk.info.leftOut![0]!.what, /swap space with a hibernated system/)
    await assertSwapOnly(disk)
    assert.ok(!(await readAt(disk.target.partition(1), 0, 4096)).includes('S1SUSPEND'))
  })

  for (const fileSystem of ['ext4', 'xfs']) {
    for (const isAsleep of [false, true]) {
      const what = isAsleep ? 'a swap file with a system asleep in it' : 'a swap file'
      it(`${what}, on ${fileSystem}`, () => checkSwapFile(fileSystem, isAsleep))
    }
  }

  it('page and hibernation files of Windows', async () => {
    const names = ['pagefile.sys', 'hiberfil.sys', 'swapfile.sys']
    await using disk = await openCapturedDisk({
      partitions: [mib(64)],
      sizeBytes: mib(66),
      async prepare(source) {
        await exec('mkntfs', ['-q', '-F', '-Q', source.partition(1)])
        await using mount = await openNtfs(source.partition(1), 'rw')
        for (const name of names) await writeFile(join(mount.path, name), randomBytes(FILE_BYTES))
        await mkdir(join(mount.path, 'Windows/System32'), { recursive: true })
        await writeFile(join(mount.path, 'Windows/System32/ntoskrnl.exe'), 'MZ')
      },
    })
    assert.ok(disk.isUntouched)
    assert.equal(disk.info.operatingSystem, 'Windows')
    assert.equal(disk.info.rootPartition, 1)
    const bytes = FILE_BYTES - 65_536
    assert.deepEqual(
      disk.info.leftOut!.toSorted((a, b) => (a.what < b.what ? -1 : 1)),
      [
        { partition: 1, what: 'hibernation file /hiberfil.sys', bytes },
        { partition: 1, what: 'page file /pagefile.sys', bytes },
        { partition: 1, what: 'page file /swapfile.sys', bytes },
      ],
    )
    assert.ok(disk.context.facts.bytesSent! < mib(8))
    await using before = await openNtfs(disk.source.partition(1), 'ro')
    await using after = await openNtfs(disk.target.partition(1), 'ro')
    for (const name of names) {
      const [old, copy] = await Promise.all(
        [before, after].map(({ path }) => readFile(join(path, name))),
      )
      assert.equal(copy!.length, FILE_BYTES)
      // What Windows looks at when it starts is the source's, not the target's.
      assert.deepEqual(copy!.subarray(0, 65_536), old!.subarray(0, 65_536))
    }
  })
})

async function captureSwap(change: (path: string) => Promise<void>): Promise<CapturedDisk> {
  return await openCapturedDisk({
    partitions: [SWAP_BYTES],
    sizeBytes: mib(20),
    async prepare(disk) {
      await fillPartition(disk)
      await exec('mkswap', ['--label', 'swap', '--uuid', UUID, disk.partition(1)])
      await change(disk.partition(1))
    },
  })
}

async function assertSwapOnly(disk: CapturedDisk): Promise<void> {
  assert.ok(disk.isUntouched)
  assert.deepEqual(disk.context.warnings, [])
  assert.ok(disk.context.facts.bytesSent! < 100_000)
  const { stdout } = await exec('blkid', ['-p', '-o', 'export', disk.target.partition(1)])
  assert.match(stdout, /^TYPE=swap$/m)
  assert.match(stdout, new RegExp(`^UUID=${UUID}$`, 'm'))
  assert.match(stdout, /^LABEL=swap$/m)
}

async function checkSwapFile(fileSystem: string, isAsleep: boolean): Promise<void> {
  const sizeBytes = fileSystem === 'xfs' ? mib(320) : mib(64)
  await using disk = await openCapturedDisk({
    partitions: [sizeBytes],
    sizeBytes: sizeBytes + mib(2),
    async prepare(source) {
      const device = source.partition(1)
      await exec(`mkfs.${fileSystem}`, ['-q', device])
      await using mount = await openMount(exec, { device, fileSystem, mode: 'rw' })
      const path = join(mount.path, 'swapfile')
      await writeFile(path, randomBytes(FILE_BYTES), { mode: 0o600 })
      await writeFile(join(mount.path, 'swap.img'), 'not what its name says')
      await exec('mkswap', ['--uuid', UUID, path])
      if (isAsleep) await hibernate(path)
    },
  })
  assert.ok(disk.isUntouched)
  assert.deepEqual(disk.info.leftOut, [
    { partition: 1, what: 'swap file /swapfile', bytes: FILE_BYTES - 4096 },
  ])
  const device = disk.target.partition(1)
  await using mount = await openMount(exec, { device, fileSystem, mode: 'ro' })
  const { stdout } = await exec('blkid', ['-p', '-o', 'export', join(mount.path, 'swapfile')])
  assert.match(stdout, /^TYPE=swap$/m)
  assert.match(stdout, new RegExp(`^UUID=${UUID}$`, 'm'))
  assert.equal(await readFile(join(mount.path, 'swap.img'), 'utf8'), 'not what its name says')
}

/** As kernel/power/swap.c does: the signature is another one, and the old one stands before it. */
async function hibernate(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  const end = Buffer.alloc(40)
  end.write('SWAPSPACE2', 20, 'latin1')
  end.write('S1SUSPEND\0', 30, 'latin1')
  end.writeUInt32LE(12345, 4)
  await file.write(end, 0, end.length, 4096 - end.length)
}

async function fillPartition(disk: LoopDisk): Promise<void> {
  await writeFile(disk.partition(1), randomBytes(SWAP_BYTES), { flag: 'r+' })
}

async function readAt(path: string, start: number, length: number): Promise<Buffer> {
  await using file = await open(path, 'r')
  const bytes = Buffer.alloc(length)
  await file.read(bytes, 0, length, start)
  return bytes
}
