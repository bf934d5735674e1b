import { randomBytes } from 'node:crypto'
import { mkdtempDisposable, open, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '#agent/exec.ts'
import { openMount } from '#agent/system/mount.ts'
import { mib, openLoopDisk } from '#test/agent/system/loop-disk.ts'
import { openNtfs } from '#test/support/file-system-disk.ts'

export async function change(device: string, at: number, bytes: Uint8Array): Promise<void> {
  await using file = await open(device, 'r+')
  await file.write(bytes, 0, bytes.length, at)
}

export async function dirtyExt4(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', '-O', '^metadata_csum', device])
  await exec('debugfs', ['-w', '-R', 'feature needs_recovery', device])
}

export async function dirtyExt2(device: string): Promise<void> {
  await exec('mkfs.ext2', ['-q', '-F', device])
  await exec('debugfs', ['-w', '-R', 'set_super_value state 0', device])
}

export async function damagedExt4(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', device])
  const { stdout } = await exec('dumpe2fs', [device])
  const bitmap = Number(/Block bitmap at (\d+)/.exec(stdout)![1])
  const blockBytes = Number(/^Block size:\s+(\d+)/m.exec(stdout)![1])
  await change(device, bitmap * blockBytes, randomBytes(blockBytes))
}

/** As a power cut leaves it: a copy of the device while a file system on it has something logged. */
export async function crash(device: string, fileSystem: string): Promise<void> {
  await exec(`mkfs.${fileSystem}`, ['-q', '-f', device])
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-crash-'))
  const copy = join(folder.path, 'copy')
  {
    await using mount = await openMount(exec, { device, fileSystem, mode: 'rw' })
    const path = join(mount.path, 'logged')
    await writeFile(path, 'old')
    await exec('sync', ['-f', mount.path])
    await writeFile(path, randomBytes(100_000), { flag: 'r+', flush: true })
    // Past the page cache: to flush that would empty the log, too.
    await exec('dd', [`if=${device}`, `of=${copy}`, 'bs=1M', 'iflag=direct', 'conv=sparse'])
  }
  await exec('dd', [`if=${copy}`, `of=${device}`, 'bs=1M', 'conv=fsync'])
}

export async function dirtyNtfs(device: string): Promise<void> {
  await exec('mkntfs', ['-q', '-F', '-Q', device])
  await exec('ntfsfix', [device]) // without -d it asks Windows for a check
}

export async function uncleanNtfs(device: string): Promise<void> {
  await exec('mkntfs', ['-q', '-F', '-Q', device])
  const { stdout } = await exec('ntfscluster', ['-I', '2', device])
  const log = Number(/Length\s+0\s+(\d+)/.exec(stdout)![1]) * 4096
  const page = Buffer.alloc(4096)
  page.write('RSTR', 'latin1')
  page.writeUInt16LE(0x30, 0x18)
  page.writeBigUInt64LE(1000n, 0x30)
  page.writeUInt16LE(0, 0x30 + 12) // a client is using it
  await change(device, log, Buffer.concat([page, page]))
}

export async function hibernatedNtfs(device: string): Promise<void> {
  await exec('mkntfs', ['-q', '-F', '-Q', device])
  await using mount = await openNtfs(device, 'rw')
  await writeFile(join(mount.path, 'hiberfil.sys'), Buffer.alloc(100_000, 'HIBR'))
}

export async function dirtyFat(device: string, bits: 16 | 32): Promise<void> {
  await exec('mkfs.vfat', ['-F', String(bits), '-s', bits === 32 ? '1' : '4', device])
  await change(device, bits === 32 ? 0x41 : 0x25, Buffer.of(1))
}

/** Boot code lies where others have their names; a "2" where a FAT32 would say so. */
export async function oldFat16(device: string): Promise<void> {
  await exec('mkfs.vfat', ['-F', '16', '-s', '4', device])
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-fat-'))
  const file = join(folder.path, 'file')
  // The first two of one cluster each: their entries look like a FAT32 in order.
  for (const [name, size] of [
    ['A', 1000],
    ['B', 1000],
    ['C', mib(8)],
  ] as const) {
    await writeFile(file, randomBytes(size))
    await exec('mcopy', ['-i', device, file, `::${name}`])
  }
  await change(device, 0x24, Buffer.of(0x80))
  await change(device, 0x26, Buffer.alloc(0x56 - 0x26, 0x90))
  await change(device, 0x56, Buffer.from('2'))
}

/** The first table stays as empty as it was: partclone would find nothing in use. */
export async function secondTableFat(device: string): Promise<void> {
  await exec('mkfs.vfat', ['-F', '32', '-s', '1', device])
  await change(device, 0x28, Buffer.of(0x81))
}

export async function neglectedExt4(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', device])
  await exec('tune2fs', ['-c', '3', '-C', '5', device])
}

export async function realtimeXfs(device: string): Promise<void> {
  await using realtime = await openLoopDisk(mib(32))
  await exec('mkfs.xfs', ['-q', '-f', '-r', `rtdev=${realtime.path}`, device])
}

/** As dm-verity goes by: a superblock, and then the hashes. */
export async function hashedExt4(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', '-E', 'nodiscard', device, '40m'])
  const superblock = Buffer.alloc(512)
  superblock.write('verity', 'latin1')
  superblock.writeUInt32LE(1, 8)
  await change(device, mib(40), superblock)
}

/** As a partition table that was made anew, too small, leaves it. */
export async function cutBtrfs(device: string): Promise<void> {
  await using large = await openLoopDisk(mib(400))
  await exec('mkfs.btrfs', ['-q', '-f', large.path])
  await exec('dd', [`if=${large.path}`, `of=${device}`, 'bs=1M', 'count=128', 'conv=fsync'])
}

/** Bitmaps of an ext4 lie close to its beginning, where sfdisk writes nothing. */
export async function nestedDisk(device: string): Promise<void> {
  await exec('mkfs.ext4', ['-q', '-F', '-O', '^has_journal', device])
  const input = 'label: dos\nstart=20480, size=65536\n'
  await exec('sfdisk', ['--quiet', '--no-reread', '--wipe', 'never', device], { input })
  await change(device, mib(10), randomBytes(mib(32)))
}

/** A first sector and an entry for the map itself (Inside Macintosh: Devices); btrfs begins behind them. */
export async function nestedMacDisk(device: string): Promise<void> {
  await exec('mkfs.btrfs', ['-q', '-f', device])
  const map = Buffer.alloc(1024)
  map.write('ER', 0, 'latin1')
  map.writeUInt16BE(512, 2)
  map.write('PM', 512, 'latin1')
  map.writeUInt32BE(1, 512 + 4)
  map.writeUInt32BE(1, 512 + 8)
  map.writeUInt32BE(63, 512 + 12)
  map.write('Apple_partition_map', 512 + 48, 'latin1')
  await change(device, 0, map)
  await change(device, mib(100), randomBytes(mib(20)))
}

export async function halfBtrfs(device: string): Promise<void> {
  await using other = await openLoopDisk(mib(128))
  await exec('mkfs.btrfs', ['-q', '-f', device, other.path])
}

export async function luks(device: string): Promise<void> {
  const header = Buffer.alloc(4096)
  header.write('LUKS\xba\xbe', 'latin1')
  header.writeUInt16BE(1, 6)
  header.write('6fb4a2ab-2b3a-4c79-8d6e-5a0f7b3a1d11', 168, 'latin1')
  await change(device, 0, header)
}

export async function bitLocker(device: string): Promise<void> {
  const header = Buffer.alloc(8192)
  header.write('\xeb\x58\x90-FVE-FS-', 'latin1')
  header.writeBigUInt64LE(4096n, 0xb0) // where its metadata lies
  header.write('-FVE-FS-', 4096, 'latin1')
  header.writeUInt16LE(2, 4096 + 10)
  await change(device, 0, header)
}
