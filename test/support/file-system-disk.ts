import { createHash, randomBytes } from 'node:crypto'
import {
  lstat,
  mkdir,
  mkdtemp,
  mkdtempDisposable,
  readdir,
  readFile,
  rm,
  rmdir,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { exec } from '#agent/exec.ts'
import { openMount, type Mount } from '#agent/system/mount.ts'

/** File systems made, filled, checked and read by Debian's own tools, on a block device. */
export interface TestFileSystem {
  name: string
  /** As small as its tools let it be. */
  sizeBytes: number
  format(device: string): Promise<void>
  /** Creates files and deletes some: deleted content stays on the disk as free blocks. */
  fill(device: string, files: TestFiles): Promise<void>
  /** SHA-256 of every file, by its path. */
  digests(device: string): Promise<Record<string, string>>
  /** Fails if anything is amiss; writes nothing. */
  check(device: string): Promise<void>
}

export interface TestFiles {
  kept: ReadonlyMap<string, Uint8Array>
  deleted: ReadonlyMap<string, Uint8Array>
}

const MIB = 1024 * 1024

/** Deterministic for a seed, so that a failure can be repeated. */
export function createTestFiles(seed: number, totalBytes: number): TestFiles {
  const random = createRandom(seed)
  const kept = new Map<string, Uint8Array>()
  const deleted = new Map<string, Uint8Array>()
  for (let left = totalBytes, number = 0; left > 0; number++) {
    // Many small files, and some that are larger than a chunk.
    const size = Math.min(left, Math.ceil(10 ** (1 + 5.5 * random())))
    left -= Math.max(size, 4096)
    const path = `folder-${Math.floor(random() * 8)}/file-${number}`
    ;(random() < 0.5 ? kept : deleted).set(path, randomBytes(size))
  }
  return { kept, deleted }
}

/** mulberry32. */
export function createRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

export function digestsOf(files: ReadonlyMap<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries([...files].map(([path, bytes]) => [path, digest(bytes)]))
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

async function writeAndDelete(root: string, { kept, deleted }: TestFiles): Promise<void> {
  const all = [...kept, ...deleted].toSorted(([one], [other]) => (one < other ? -1 : 1))
  for (const [path, bytes] of all) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), bytes)
  }
  await exec('sync', ['-f', root]) // or the deleted ones would never reach the disk
  for (const path of deleted.keys()) await rm(join(root, path))
}

async function digestTree(root: string, folder = ''): Promise<Record<string, string>> {
  const digests: Record<string, string> = {}
  for (const name of await readdir(join(root, folder))) {
    const path = folder ? `${folder}/${name}` : name
    const stats = await lstat(join(root, path))
    if (stats.isDirectory()) Object.assign(digests, await digestTree(root, path))
    else if (stats.isFile()) digests[path] = digest(await readFile(join(root, path)))
  }
  return digests
}

function mounted(fileSystem: string) {
  return {
    async fill(device: string, files: TestFiles) {
      await using mount = await openMount(exec, { device, fileSystem, mode: 'rw' })
      await writeAndDelete(mount.path, files)
    },
    async digests(device: string) {
      await using mount = await openMount(exec, { device, fileSystem, mode: 'ro' })
      return await digestTree(mount.path)
    },
  }
}

function ext(kind: 'ext2' | 'ext3' | 'ext4', options: string[] = []): TestFileSystem {
  return {
    name: [kind, ...options].join(' '),
    sizeBytes: 48 * MIB,
    async format(device) {
      await exec(`mkfs.${kind}`, ['-q', '-F', ...options, device])
    },
    ...mounted('ext4'),
    async check(device) {
      await exec('e2fsck', ['-f', '-n', device])
      // What e2fsck looks at only in need.
      const { stdout } = await exec('dumpe2fs', [device])
      const blockBytes = /^Block size:\s+(\d+)/m.exec(stdout)![1]!
      for (const [, backup] of stdout.matchAll(/Backup superblock at (\d+)/g)) {
        const place = ['-B', blockBytes, '-b', backup!]
        // 4: the primary one has other times and counts.
        const checked = await exec('e2fsck', ['-f', '-n', ...place, device], {
          allowExitCodes: [4],
        })
        if (!/^Pass 5/m.test(checked.stdout)) throw new Error(checked.stdout)
      }
    },
  }
}

const xfs: TestFileSystem = {
  name: 'xfs',
  sizeBytes: 320 * MIB,
  async format(device) {
    await exec('mkfs.xfs', ['-q', '-f', device])
  },
  ...mounted('xfs'),
  async check(device) {
    await exec('xfs_repair', ['-n', device])
  },
}

/** Metadata has two copies unless told; a scrub reads both, which nothing else does. */
function btrfs(options: string[] = []): TestFileSystem {
  return {
    name: ['btrfs', ...options].join(' '),
    sizeBytes: (options.includes('dup') ? 192 : 128) * MIB,
    async format(device) {
      await exec('mkfs.btrfs', ['-q', '-f', ...options, device])
    },
    ...mounted('btrfs'),
    async check(device) {
      await exec('btrfs', ['check', '--readonly', '--check-data-csum', device])
      await using mount = await openMount(exec, { device, fileSystem: 'btrfs', mode: 'ro' })
      const { stdout } = await exec('btrfs', ['scrub', 'start', '-B', '-r', mount.path])
      if (!stdout.includes('no errors found')) throw new Error(stdout)
    },
  }
}

const ntfs: TestFileSystem = {
  name: 'ntfs',
  sizeBytes: 40 * MIB,
  async format(device) {
    await exec('mkntfs', ['-q', '-F', '-Q', device])
  },
  async fill(device, files) {
    await using mount = await openNtfs(device, 'rw')
    await writeAndDelete(mount.path, files)
  },
  async digests(device) {
    await using mount = await openNtfs(device, 'ro')
    return await digestTree(mount.path)
  },
  async check(device) {
    await exec('ntfsfix', ['--no-action', device])
  },
}

/** By ntfs-3g, which wants FUSE of the kernel and nothing else. */
export async function openNtfs(device: string, mode: 'ro' | 'rw'): Promise<Mount> {
  const path = await mkdtemp(join(tmpdir(), 'stampede-ntfs-'))
  await exec('ntfs-3g', ['-o', mode, device, path])
  return {
    path,
    async [Symbol.asyncDispose]() {
      // Of a block device (fuseblk), this waits for the program behind the mount.
      await exec('umount', [path])
      await rmdir(path)
    },
  }
}

function fat(bits: 16 | 32): TestFileSystem {
  return {
    name: `fat${bits}`,
    sizeBytes: 48 * MIB,
    async format(device) {
      await exec('mkfs.vfat', ['-F', String(bits), ...(bits === 32 ? ['-s', '1'] : []), device])
    },
    fill: fillFat,
    digests: digestFat,
    async check(device) {
      await exec('fsck.fat', ['-n', device])
    },
  }
}

/** By mtools, since not every kernel mounts FAT. */
async function fillFat(device: string, { kept, deleted }: TestFiles): Promise<void> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-fat-'))
  await writeAndDelete(folder.path, { kept: new Map([...kept, ...deleted]), deleted: new Map() })
  const names = (await readdir(folder.path)).map((name) => join(folder.path, name))
  await exec('mcopy', ['-s', '-i', device, ...names, '::'])
  const gone = [...deleted.keys()].map((path) => `::${path}`)
  if (gone.length > 0) await exec('mdel', ['-i', device, ...gone])
}

async function digestFat(device: string): Promise<Record<string, string>> {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-fat-'))
  await exec('mcopy', ['-s', '-n', '-i', device, '::*', folder.path])
  return await digestTree(folder.path)
}

export const TEST_FILE_SYSTEMS: TestFileSystem[] = [
  ext('ext2'),
  ext('ext4'),
  ext('ext4', ['-b', '1024', '-O', '^resize_inode,sparse_super2']),
  xfs,
  btrfs(),
  btrfs(['--data', 'dup', '--metadata', 'single', '--nodesize', '65536']),
  btrfs(['--mixed', '-R', '^free-space-tree']),
  ntfs,
  fat(16),
  fat(32),
]
