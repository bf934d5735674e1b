import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { exec, type Exec } from '#agent/exec.ts'
import { growNtfs } from '#agent/grow/ntfs.ts'
import { growRoot } from '#agent/steps/grow-root.ts'
import { parseNtfsCluster } from '#agent/used/file-systems/ntfs-state.ts'
import { openNtfs } from '#test/support/file-system-disk.ts'
import { IS_ROOT, mib, openLoopDisk, type LoopDisk } from '../system/loop-disk.ts'
import { bitLocker, luks } from '../used/doubtful-contents.ts'
import { createContext } from './step-context.ts'
import { installTiny } from './tiny-root.ts'

const MSR = 'E3C9E316-0B5C-4DB8-817D-F92DF00215AE'
const BASIC_DATA = 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7'
const RECOVERY = 'DE94BBA4-06D1-4D40-A16A-BFD50179D6AC'

const TABLES = {
  gpt: `label: gpt\nsize=20M,type=U\nsize=4M,type=${MSR}\nsize=64M,type=${BASIC_DATA}\n`,
  dos: 'label: dos\nsize=20M,type=7,bootable\nsize=4M,type=7\nsize=64M,type=7\n',
}
/** In both tables. */
const WINDOWS = 3

const CONTENT = randomBytes(mib(5))

describe('growing a Windows', { skip: !IS_ROOT && 'needs root for loop devices' }, () => {
  for (const table of ['gpt', 'dos'] as const)
    it(`to the end of the disk, in a ${table} table`, async () => {
      await using disk = await openWindowsDisk(TABLES[table])
      await disk.enlarge(mib(300))
      const context = createContext(disk)
      const { state, message } = await growRoot(context)
      assert.equal(state, 'succeeded', message)
      assert.match(message!, /3 grew from 0\.06 to 0\.27 GiB/)
      assert.deepEqual(context.warnings, [])
      assert.ok((await readContent(disk)).equals(CONTENT))
      // All clusters are accounted for. Windows is to check it as well: so it is noted, and so it takes force.
      await exec('ntfsresize', ['--info', '--force', '--no-progress-bar', windows(disk)])
      const { stdout } = await exec('ntfsinfo', ['-f', '-m', windows(disk)])
      assert.match(stdout, /Volume Flags: 0x0001/)
    })

  it('has nothing for Windows to check where it is as large as can be', async () => {
    const table = `label: gpt\nsize=20M\nsize=4M\ntype=${BASIC_DATA}\n`
    await using disk = await openWindowsDisk(table)
    const { state, message } = await growRoot(createContext(disk))
    assert.equal(state, 'succeeded')
    assert.match(message!, /has its full size already/)
    const { stdout } = await exec('ntfsinfo', ['-m', windows(disk)])
    assert.match(stdout, /Volume Flags: 0x0000/)
  })

  it('becomes no larger than Windows mounts it', async () => {
    await using disk = await openWindowsDisk(TABLES.gpt)
    const calls: (readonly string[])[] = []
    const hugeDevice: Exec = async (command, args, options) => {
      if (command === 'blockdev') return { stdout: String(2 ** 45), stderr: '', exitCode: 0 }
      if (command !== 'ntfsresize') return await exec(command, args, options)
      calls.push(args)
      return { stdout: '', stderr: '', exitCode: 0 }
    }
    await growNtfs(hugeDevice, windows(disk))
    const most = String((2 ** 32 - 1) * 4096)
    assert.deepEqual(calls, [['--no-progress-bar', '--size', most, windows(disk)]])
  })

  it('stays where its recovery lies behind it', async () => {
    await using disk = await openWindowsDisk(`${TABLES.gpt}size=4M,type=${RECOVERY}\n`)
    await assertStays(disk, /not the last partition: \/dev\/\S+4 lies behind it/)
  })

  it('stays while it is hibernated', async () => {
    const sleeping = 'hibr'.padEnd(mib(1), '\0')
    const change = (path: string) => writeFile(join(path, 'hiberfil.sys'), sleeping)
    await using disk = await openWindowsDisk(TABLES.gpt, { change })
    await assertStays(disk, /Windows is hibernated there; shut it down fully/)
  })

  it('stays while it is marked dirty', async () => {
    await using disk = await openWindowsDisk(TABLES.gpt)
    await exec('ntfsfix', [windows(disk)]) // without -d it asks Windows for a check
    await assertStays(disk, /it is marked dirty/)
  })

  it('stays beside another one', async () => {
    await using disk = await openWindowsDisk(TABLES.dos)
    await installWindows(disk, { number: 1 })
    await assertStays(disk, /2 Windows were found: \/dev\/\S+1 and \/dev\/\S+3/)
  })

  it('stays beside a Linux, which is the one to grow', async () => {
    await using disk = await openWindowsDisk(TABLES.dos)
    await disk.format(1, 'ext4')
    await installTiny(disk, 1, 'ext4')
    await assertStays(disk, /1 is not the last partition/)
  })

  it('stays beside an encrypted system', async () => {
    await using disk = await openWindowsDisk(TABLES.gpt)
    await luks(disk.partition(1))
    await assertStays(disk, /encrypted one \(LUKS\)/)
  })

  it('is not looked for where it is encrypted', async () => {
    await using disk = await openLoopDisk(mib(100))
    await disk.sfdisk(TABLES.gpt)
    await bitLocker(windows(disk))
    await assertStays(disk, /encrypted one \(BitLocker\) cannot be looked into/)
  })

  it('is not found in an NTFS of data alone', async () => {
    await using disk = await openLoopDisk(mib(100))
    await disk.sfdisk(TABLES.gpt)
    await exec('mkntfs', ['-q', '-F', '-Q', windows(disk)])
    await assertStays(disk, /No Linux and no Windows was found/)
  })

  it('keeps a file system that ntfsresize finds damaged, and says what it found', async () => {
    await using disk = await openWindowsDisk(TABLES.gpt)
    await damageBitmap(windows(disk))
    await disk.enlarge(mib(300))
    const context = createContext(disk)
    assert.equal((await growRoot(context)).state, 'skipped')
    assert.match(context.warnings[0]!, /which it cannot take: ERROR/)
    assert.ok((await readContent(disk)).equals(CONTENT))
  })
})

interface WindowsOptions {
  number?: number
  /** Changes the mounted file system. */
  change?: (path: string) => Promise<void>
}

async function openWindowsDisk(table: string, options: WindowsOptions = {}): Promise<LoopDisk> {
  await using opened = new AsyncDisposableStack()
  const disk = opened.use(await openLoopDisk(mib(100)))
  await disk.sfdisk(table)
  await installWindows(disk, options)
  opened.move()
  return disk
}

async function installWindows(
  disk: LoopDisk,
  { number = WINDOWS, change }: WindowsOptions,
): Promise<void> {
  await exec('mkntfs', ['-q', '-F', '-Q', disk.partition(number)])
  await using mount = await openNtfs(disk.partition(number), 'rw')
  await mkdir(join(mount.path, 'Windows/System32'), { recursive: true })
  await writeFile(join(mount.path, 'Windows/System32/ntoskrnl.exe'), 'MZ')
  if (number === WINDOWS) await writeFile(join(mount.path, 'content'), CONTENT)
  await change?.(mount.path)
}

function windows(disk: LoopDisk): string {
  return disk.partition(WINDOWS)
}

async function readContent(disk: LoopDisk): Promise<Buffer> {
  await using mount = await openNtfs(windows(disk), 'ro')
  return await readFile(join(mount.path, 'content'))
}

/** The disk is enlarged, and yet partition and file system stay, with a warning. */
async function assertStays(disk: LoopDisk, reason: RegExp): Promise<void> {
  const before = await readPartition(disk)
  await disk.enlarge(mib(300))
  const context = createContext(disk)
  const { state } = await growRoot(context)
  assert.equal(state, 'skipped')
  assert.equal(context.warnings.length, 1)
  assert.match(context.warnings[0]!, reason)
  assert.ok(before.equals(await readPartition(disk)))
}

async function readPartition(disk: LoopDisk): Promise<Buffer> {
  await exec('blockdev', ['--flushbufs', windows(disk)])
  return await readFile(windows(disk))
}

const BITMAP_INODE = '6'
const CLUSTER_BYTES = 4096

/** Clusters that files use are noted as free. */
async function damageBitmap(path: string): Promise<void> {
  const { stdout } = await exec('ntfscluster', ['-I', BITMAP_INODE, path])
  const [piece] = parseNtfsCluster(stdout, CLUSTER_BYTES)
  await using device = await open(path, 'r+')
  await device.write(Buffer.alloc(64), 0, 64, piece!.start)
  await device.sync()
}
