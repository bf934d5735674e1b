import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { open, readdir, readFile, stat, statfs, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { exec, type Exec } from '#agent/exec.ts'
import { growRoot } from '#agent/steps/grow-root.ts'
import { majorOf, minorOf } from '#agent/device-number.ts'
import { readLayout } from '#agent/system/layout.ts'
import { openMount } from '#agent/system/mount.ts'
import { IS_ROOT, mib, openLoopDisk, type LoopDisk } from '../system/loop-disk.ts'
import { installProgram, writeTinySystem } from '../system/tiny-system.ts'
import { checkFileSystem, installTiny, sizeAndContent, sizeOfRoot } from './tiny-root.ts'
import { createContext } from './step-context.ts'

/** A program that does not end by itself while anybody waits for it, and like no other that runs. */
const SLEEPER = '/usr/sbin/busybox sleep 607'

describe('growing the root', { skip: !IS_ROOT && 'needs root for loop devices' }, () => {
  it('leaves the disk as it is where the run says so', async () => {
    await using disk = await openLoopDisk(mib(64))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'ext4')
    await installTiny(disk, 1, 'ext4')
    await disk.enlarge(mib(128))
    const before = await readFile(disk.path)
    const context = createContext(disk, { options: { grow: false } })
    const { state, message } = await growRoot(context)
    assert.equal(state, 'skipped')
    assert.match(message!, /leaves the root as large as it is/)
    assert.deepEqual(context.warnings, [])
    assert.ok(before.equals(await readFile(disk.path)))
  })

  for (const fileSystem of ['ext2', 'ext3', 'ext4', 'xfs', 'btrfs'])
    for (const table of ['gpt', 'dos'])
      it(`grows ${fileSystem} behind another partition in a ${table} table`, async () => {
        await using disk = await openLoopDisk(mib(400))
        await disk.sfdisk(`label: ${table}\nsize=20M\n,\n`)
        await disk.format(2, fileSystem)
        await installTiny(disk, 2, fileSystem)
        await disk.enlarge(mib(1200))
        const context = createContext(disk)
        const outcome = await growRoot(context)
        assert.equal(outcome.state, 'succeeded')
        assert.deepEqual(context.warnings, [])
        await checkFileSystem(disk, 2, fileSystem)
        const sizeBytes = await sizeAndContent(disk, 2, fileSystem)
        assert(sizeBytes > mib(1050), `${sizeBytes}`)
      })

  it('grows a logical partition and the extended one around it', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: dos\nsize=20M\ntype=5\nsize=50M\n,\n')
    await disk.format(6, 'ext4')
    await installTiny(disk, 6, 'ext4')
    await disk.enlarge(mib(1000))
    const outcome = await growRoot(createContext(disk))
    assert.equal(outcome.state, 'succeeded')
    await checkFileSystem(disk, 6, 'ext4')
    assert((await sizeAndContent(disk, 6, 'ext4')) > mib(850))
  })

  it('keeps GUIDs, names, attributes and boot code, and puts the backup GPT at the end', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk(
      'label: gpt\nsize=20M,type=U,name=esp\nname=root,uuid=11111111-2222-4333-8444-555555555555,attrs=LegacyBIOSBootable\n',
    )
    const code = Buffer.alloc(440, 0xf4)
    {
      await using device = await open(disk.path, 'r+')
      await device.write(code, 0, 440, 0)
      await device.write(Buffer.of(0x80), 0, 1, 446) // the protective record is active
    }
    await disk.format(2, 'ext4')
    await installTiny(disk, 2, 'ext4')
    const before = (await exec('sfdisk', ['--dump', disk.path])).stdout
    await disk.enlarge(mib(800))
    await growRoot(createContext(disk))
    const after = (await exec('sfdisk', ['--dump', disk.path])).stdout
    const withoutSizes = (text: string) => text.replaceAll(/last-lba: \d+|size= *\d+/g, '')
    assert.equal(withoutSizes(after), withoutSizes(before))
    assert.match((await exec('sgdisk', ['--verify', disk.path])).stdout, /No problems found/)
    const bytes = await readFile(disk.file)
    assert.deepEqual(bytes.subarray(0, 440), code)
    assert.equal(bytes[446], 0x80)
    assert.equal(bytes.subarray(-512).toString('latin1', 0, 8), 'EFI PART')
  })

  it('grows on a disk with sectors of 4096 bytes', async () => {
    await using disk = await openLoopDisk(mib(300), 4096)
    await disk.sfdisk('label: gpt\nsize=20M\n,\n')
    await disk.format(2, 'ext4')
    await installTiny(disk, 2, 'ext4')
    await disk.enlarge(mib(800))
    assert.equal((await growRoot(createContext(disk))).state, 'succeeded')
    assert((await sizeAndContent(disk, 2, 'ext4')) > mib(700))
  })

  it('uses the tool of the deployed system, which sees no disk but the target', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'ext4')
    await disk.inside(1, 'ext4', async (root) => {
      await writeTinySystem(root)
      for (const name of ['busybox', 'resize2fs']) await installProgram(root, name)
      await exec('mv', [`${root}/usr/sbin/resize2fs`, `${root}/usr/sbin/real`])
      const script = '#!/usr/sbin/busybox sh\nb=/usr/sbin/busybox\n'
      const look =
        '$b ls /dev > /seen; $b ls -la /run /sys/class > /mounts; exec /usr/sbin/real "$@"\n'
      await writeFile(`${root}/usr/sbin/resize2fs`, script + look, { mode: 0o755 })
    })
    await disk.enlarge(mib(800))
    const outcome = await growRoot(createContext(disk))
    assert.equal(outcome.state, 'succeeded')
    await disk.inside(1, 'ext4', async (root) => {
      const seen = (await readFile(`${root}/seen`, 'utf8')).trim().split('\n')
      const own = disk.partition(1).slice('/dev/'.length)
      const harmless = ['fd', 'full', 'null', 'random', 'tty', 'urandom', 'zero']
      assert.deepEqual(seen, [...harmless, own].toSorted())
      const { blocks, bsize } = await statfs(root)
      assert(blocks * bsize > mib(700))
    })
  })

  it('lets programs of the deployed system use no device node that came with the image', async () => {
    await using other = await openLoopDisk(mib(8))
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'ext4')
    const { rdev } = await stat(other.path)
    await disk.inside(1, 'ext4', async (root) => {
      await writeTinySystem(root)
      for (const name of ['busybox', 'resize2fs']) await installProgram(root, name)
      await exec('mv', [`${root}/usr/sbin/resize2fs`, `${root}/usr/sbin/real`])
      const numbers = [String(majorOf(rdev)), String(minorOf(rdev))]
      await exec('mknod', [`${root}/other-disk`, 'b', ...numbers])
      const write =
        '/usr/sbin/busybox dd if=/usr/sbin/real of=/other-disk bs=4096 count=1 conv=fsync'
      const script = `#!/usr/sbin/busybox sh\n${write}\nexec /usr/sbin/real "$@"\n`
      await writeFile(`${root}/usr/sbin/resize2fs`, script, { mode: 0o755 })
    })
    await disk.enlarge(mib(800))
    assert.equal((await growRoot(createContext(disk))).state, 'succeeded')
    assert((await sizeOfRoot(disk)) > mib(700))
    await exec('blockdev', ['--flushbufs', other.path])
    assert(
      (await readFile(other.file)).equals(Buffer.alloc(mib(8))),
      'the other disk was written to',
    )
  })

  it('touches nothing while the kernel has the partitions of an older table', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: gpt\nsize=100M\n,\n')
    const script = 'label: gpt\nsize=20M\n,\n'
    await exec('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', disk.path], {
      input: script,
    })
    const before = await hashFile(disk.file)
    await assert.rejects(growRoot(createContext(disk)), /could not read the new table/)
    await exec('blockdev', ['--flushbufs', disk.path])
    assert.equal(await hashFile(disk.file), before)
  })

  it('leaves the layout alone, with a warning, where a partition lies behind the root', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: gpt\nsize=200M\nsize=50M,type=S\n')
    await disk.format(1, 'ext4')
    await installTiny(disk, 1, 'ext4')
    await disk.enlarge(mib(800))
    const before = await readLayout(exec, disk.path)
    const context = createContext(disk)
    const outcome = await growRoot(context)
    assert.equal(outcome.state, 'skipped')
    assert.match(context.warnings.join(), /is not the last partition/)
    assert.deepEqual((await readLayout(exec, disk.path)).partitions, before.partitions)
    assert((await sizeAndContent(disk, 1, 'ext4')) < mib(200))
  })

  it('leaves the layout alone where a hybrid MBR has a partition behind the root', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: gpt\nsize=100M\n')
    await disk.format(1, 'ext4')
    await installTiny(disk, 1, 'ext4')
    {
      await using device = await open(disk.path, 'r+')
      const entry = Buffer.alloc(16)
      entry[4] = 0x0c
      entry.writeUInt32LE(mib(150) / 512, 8)
      entry.writeUInt32LE(mib(100) / 512, 12)
      await device.write(entry, 0, entry.length, 446 + 16)
    }
    await disk.enlarge(mib(800))
    const context = createContext(disk)
    const outcome = await growRoot(context)
    assert.equal(outcome.state, 'skipped')
    assert.match(context.warnings.join(), /one that only the MBR lists lies behind it/)
    assert((await sizeAndContent(disk, 1, 'ext4')) < mib(100))
  })

  for (const table of ['gpt', 'dos'])
    it(`leaves a disk as it is that is itself a member of a RAID, with a ${table} table`, async () => {
      await using disk = await openLoopDisk(mib(64))
      await disk.sfdisk(`label: ${table}\nsize=50M\n`)
      await disk.format(1, 'ext4')
      await installTiny(disk, 1, 'ext4')
      {
        await using device = await open(disk.path, 'r+')
        await device.write('Intel Raid ISM Cfg Sig. 1.1.00', mib(64) - 1024)
      }
      await exec('blockdev', ['--flushbufs', disk.path])
      const before = await hashFile(disk.file)
      const context = createContext(disk)
      assert.equal((await growRoot(context)).state, 'skipped')
      assert.match(context.warnings.join(), /is a member of a RAID \(isw_raid_member\)/)
      await exec('blockdev', ['--flushbufs', disk.path])
      assert.equal(await hashFile(disk.file), before)
    })

  it('leaves the partition alone where its file system has clusters (bigalloc)', async () => {
    await using disk = await openLoopDisk(mib(100))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'ext4', ['-O', 'bigalloc'])
    await installTiny(disk, 1, 'ext4')
    await disk.enlarge(mib(800))
    const before = await readLayout(exec, disk.path)
    const context = createContext(disk)
    assert.equal((await growRoot(context)).state, 'skipped')
    assert.match(context.warnings.join(), /has clusters of several blocks \(bigalloc\)/)
    assert.deepEqual((await readLayout(exec, disk.path)).partitions, before.partitions)
    assert((await sizeAndContent(disk, 1, 'ext4')) < mib(100))
  })

  it('warns where the file system cannot become as large as its partition', async () => {
    await using disk = await openLoopDisk(mib(200))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'ext4', ['-b', '1024', '-O', '^64bit'])
    await installTiny(disk, 1, 'ext4')
    await disk.enlarge(mib(5 * 1024 * 1024))
    const context = createContext(disk)
    assert.equal((await growRoot(context)).state, 'skipped')
    assert.match(context.warnings.join(), /which it cannot take: resize2fs: New size/)
    await checkFileSystem(disk, 1, 'ext4')
    assert((await sizeAndContent(disk, 1, 'ext4')) < mib(200))
  })

  it('finds nothing to do, and no fault, where all is full already', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'ext4')
    await installTiny(disk, 1, 'ext4')
    const context = createContext(disk)
    await growRoot(context)
    const again = await growRoot(context)
    assert.equal(again.state, 'succeeded')
    assert.match(again.message ?? '', /full size already/)
    assert.deepEqual(context.warnings, [])
  })

  it('never guesses between two roots, but follows what the image says of its root', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: gpt\nsize=100M\n,\n')
    for (const number of [1, 2]) {
      await disk.format(number, 'ext4')
      await installTiny(disk, number, 'ext4')
    }
    await disk.enlarge(mib(800))
    const before = await readLayout(exec, disk.path)
    const context = createContext(disk)
    assert.equal((await growRoot(context)).state, 'skipped')
    assert.match(context.warnings.join(), /2 root file systems were found/)
    assert.deepEqual((await readLayout(exec, disk.path)).partitions, before.partitions)
    assert.equal(
      (await growRoot(createContext(disk, { info: { rootPartition: 2 } }))).state,
      'succeeded',
    )
    assert((await sizeAndContent(disk, 2, 'ext4')) > mib(600))
  })

  it('skips a disk without a Linux root and tells why', async () => {
    await using disk = await openLoopDisk(mib(100))
    await disk.sfdisk('label: dos\n,\n')
    await disk.format(1, 'ext4')
    const context = createContext(disk)
    assert.equal((await growRoot(context)).state, 'skipped')
    assert.match(context.warnings.join(), /No Linux and no Windows was found/)
  })

  it('finds the root in a btrfs subvolume', async () => {
    await using disk = await openLoopDisk(mib(400))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'btrfs')
    await disk.inside(1, 'btrfs', async (top) => {
      await exec('btrfs', ['subvolume', 'create', `${top}/@`])
      await writeTinySystem(`${top}/@`)
    })
    await disk.enlarge(mib(900))
    const outcome = await growRoot(createContext(disk))
    assert.equal(outcome.state, 'succeeded')
    assert.match(outcome.message ?? '', /subvol=@/)
  })

  it('lets go of the disk when the run is cancelled in the middle', async () => {
    await using disk = await openLoopDisk(mib(300))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'ext4')
    await disk.inside(1, 'ext4', async (root) => {
      await writeTinySystem(root)
      await installProgram(root, 'busybox')
      const script = `#!/usr/sbin/busybox sh\nexec ${SLEEPER}\n`
      await writeFile(`${root}/usr/sbin/resize2fs`, script, { mode: 0o755 })
    })
    await disk.enlarge(mib(800))
    const cancel = new AbortController()
    const { signal } = cancel
    const bound: Exec = (command, args, options) => exec(command, args, { ...options, signal })
    let isOver = false
    const growing = growRoot({ ...createContext(disk), exec: bound }).finally(() => (isOver = true))
    const rejected = assert.rejects(growing, /Cancelled/)
    while (!isOver && !(await isAsleep())) await sleep(20)
    cancel.abort(new Error('Cancelled'))
    await rejected
    assert(!(await readFile('/proc/self/mounts', 'utf8')).includes(disk.partition(1)))
    await checkFileSystem(disk, 1, 'ext4')
  })

  it('leaves another disk with the same UUIDs and labels as it is', async () => {
    for (const fileSystem of ['ext4', 'xfs', 'btrfs']) {
      await using disk = await openLoopDisk(mib(400))
      await disk.sfdisk('label: gpt\n,\n')
      await disk.format(1, fileSystem)
      await installTiny(disk, 1, fileSystem)
      await using clone = await openLoopDisk(mib(400))
      await exec('dd', [`if=${disk.path}`, `of=${clone.path}`, 'bs=1M', 'conv=sparse,fsync'])
      await exec('partx', ['--add', clone.path])
      const before = await hashFile(clone.file)
      await disk.enlarge(mib(900))
      await growBeside(clone, fileSystem, async () => {
        assert.equal((await growRoot(createContext(disk))).state, 'succeeded')
      })
      await exec('blockdev', ['--flushbufs', clone.path])
      assert.equal(await hashFile(clone.file), before)
      assert((await sizeAndContent(disk, 1, fileSystem)) > mib(800))
    }
  })

  it('takes no btrfs that the kernel saw on another disk for the one on the target', async () => {
    await using disk = await openLoopDisk(mib(400))
    await disk.sfdisk('label: gpt\n,\n')
    await disk.format(1, 'btrfs')
    await installTiny(disk, 1, 'btrfs')
    await using clone = await openLoopDisk(mib(400))
    await exec('dd', [`if=${disk.path}`, `of=${clone.path}`, 'bs=1M', 'conv=sparse,fsync'])
    await exec('partx', ['--add', clone.path])
    // Written to since, so of the two it is the newer, which the kernel prefers.
    await clone.inside(1, 'btrfs', (root) => writeFile(`${root}/newer`, 'newer'))
    await exec('btrfs', ['device', 'scan', clone.partition(1)])
    const before = await hashFile(clone.file)
    await disk.enlarge(mib(900))
    assert.equal((await growRoot(createContext(disk))).state, 'succeeded')
    await exec('blockdev', ['--flushbufs', clone.path])
    assert.equal(await hashFile(clone.file), before)
    assert((await sizeAndContent(disk, 1, 'btrfs')) > mib(800))
  })
})

/** Whether the program runs, whatever it has for its root. */
async function isAsleep(): Promise<boolean> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const words = await readFile(`/proc/${name}/cmdline`, 'latin1').catch(() => '')
    if (words.split('\0').join(' ').trim() === SLEEPER) return true
  }
  return false
}

/** With the clone's XFS in use: the kernel then refuses a second one of its UUID by default. */
async function growBeside(
  clone: LoopDisk,
  fileSystem: string,
  grow: () => Promise<void>,
): Promise<void> {
  if (fileSystem !== 'xfs') return await grow()
  const device = clone.partition(1)
  const options = ['norecovery']
  await using _mount = await openMount(exec, { device, fileSystem, mode: 'ro', options })
  await grow()
}

async function hashFile(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}
