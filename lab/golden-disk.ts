import { mkdir, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { run } from './command.ts'
import { embedBiosGrub, makeEfiGrub } from './golden-grub.ts'
import { ESP_VOLUME_ID } from './golden-recipes.ts'
import type { GoldenRecipe } from './golden-recipes.ts'

const SECTOR_BYTES = 512
const MIB = 1024 ** 2
const MIB_SECTORS = MIB / SECTOR_BYTES
/** The smallest FAT32 of common cluster size is 33 MB. */
const ESP_MIB = 64
/** Kept free at the end of the disk, for the backup GPT. */
const TAIL_MIB = 1
const MAKE_FILE_SYSTEM_TIMEOUT_MS = 5 * 60_000

type Extent = { startBytes: number; sizeBytes: number }

/** Turns a tree into the raw, sparse disk image `disk` that boots it. */
export async function makeDisk(
  disk: string,
  tree: string,
  recipe: GoldenRecipe,
  folder: string,
): Promise<void> {
  await writeFile(disk, '')
  await truncate(disk, recipe.sizeBytes)
  const partition = await makeTable(disk, recipe, folder)
  const root = recipe.lvm ? await makeVolume(disk, partition, recipe.lvm) : partition
  if (recipe.fileSystem === 'ext4') await makeExt4(disk, root, tree, recipe.rootUuid)
  else if (recipe.fileSystem === 'xfs') await makeXfs(disk, root, tree, recipe.rootUuid, folder)
  else await makeBtrfs(disk, root, tree, recipe, folder)
}

/** Partitions the disk and fills what boots it. Returns where the last partition lies. */
async function makeTable(disk: string, recipe: GoldenRecipe, folder: string): Promise<Extent> {
  if (recipe.table === 'dos') {
    await partition(disk, 'dos', ['start=2048, type=83, bootable'], folder)
    // The gap between the MBR and the first partition.
    await embedBiosGrub(disk, recipe, { startSector: 1, sectors: MIB_SECTORS - 1 }, folder)
    return { startBytes: MIB, sizeBytes: recipe.sizeBytes - MIB }
  }

  const rootMib = 2 + ESP_MIB
  const rootSizeMib = recipe.sizeBytes / MIB - rootMib - TAIL_MIB
  const lines = [
    `start=${MIB_SECTORS}, size=${MIB_SECTORS}, type=21686148-6449-6E6F-744E-656564454649`,
    `start=${2 * MIB_SECTORS}, size=${ESP_MIB * MIB_SECTORS}, type=U`,
    `start=${rootMib * MIB_SECTORS}, size=${rootSizeMib * MIB_SECTORS}, type=${recipe.lvm ? 'V' : 'L'}`,
  ]
  await partition(disk, 'gpt', lines, folder)
  await embedBiosGrub(disk, recipe, { startSector: MIB_SECTORS, sectors: MIB_SECTORS }, folder)
  await makeEsp(disk, 2 * MIB, await makeEfiGrub(recipe, folder), folder)
  return { startBytes: rootMib * MIB, sizeBytes: rootSizeMib * MIB }
}

async function partition(
  disk: string,
  label: string,
  lines: string[],
  folder: string,
): Promise<void> {
  const script = path.join(folder, 'table.sfdisk')
  await writeFile(script, `label: ${label}\n${lines.join('\n')}\n`)
  await shell('sfdisk --quiet "$1" < "$2"', [disk, script])
}

/** mkfs and mtools write into a file, so neither a loop device nor vfat in the kernel is needed. */
async function makeEsp(
  disk: string,
  startBytes: number,
  loader: string,
  folder: string,
): Promise<void> {
  const image = path.join(folder, 'esp.img')
  await writeFile(image, '')
  await truncate(image, ESP_MIB * MIB)
  await run('mkfs.vfat', ['-F', '32', '-i', ESP_VOLUME_ID, '-n', 'ESP', image])
  await run('mmd', ['-i', image, '::/EFI', '::/EFI/BOOT'])
  await run('mcopy', ['-i', image, loader, '::/EFI/BOOT/BOOTX64.EFI'])
  const place = [`seek=${startBytes / MIB}`, 'bs=1M', 'conv=notrunc,sparse', 'status=none']
  await run('dd', [`if=${image}`, `of=${disk}`, ...place])
}

/** Makes PV, VG and one LV that fills it, without device mapper. Returns where the LV lies. */
async function makeVolume(
  disk: string,
  partition: Extent,
  lvm: NonNullable<GoldenRecipe['lvm']>,
): Promise<Extent> {
  const { startBytes, sizeBytes } = partition
  const range = ['--offset', String(startBytes), '--sizelimit', String(sizeBytes)]
  const loop = (await run('losetup', ['-f', '--show', ...range, disk])).trim()
  try {
    // Only this device exists for LVM, and nothing is activated.
    const only = ['--driverloaded', 'n', '--devices', loop]
    await run('pvcreate', [...only, '-ff', '-y', loop])
    await run('vgcreate', [...only, '--autobackup', 'n', lvm.group, loop])
    const inactive = ['--autobackup', 'n', '-an', '-Zn', '-Wn']
    const size = ['-l', '100%FREE', '-n', lvm.volume]
    await run('lvcreate', [...only, ...inactive, ...size, lvm.group])
    const figures = 'pe_start,vg_extent_size,pvseg_start,pvseg_size'
    const columns = ['--segments', '--units', 'b', '--nosuffix', '--noheadings', '-o', figures]
    const segments = (await run('pvs', [...only, ...columns])).trim().split('\n')
    const [peStart, extent, first, count] = segments[0]!.trim().split(/\s+/).map(Number)
    return { startBytes: startBytes + peStart! + extent! * first!, sizeBytes: extent! * count! }
  } finally {
    await run('losetup', ['-d', loop])
  }
}

async function makeExt4(disk: string, root: Extent, tree: string, uuid: string): Promise<void> {
  const options = ['-q', '-F', '-U', uuid, '-L', 'root', '-d', tree, '-m', '1']
  const place = ['-E', `offset=${root.startBytes}`, disk, `${root.sizeBytes / 1024}k`]
  await run('mkfs.ext4', [...options, ...place], { timeoutMs: MAKE_FILE_SYSTEM_TIMEOUT_MS })
}

/** mkfs.xfs cannot be given a tree and an offset: mount it, in a mount namespace of its own. */
async function makeXfs(
  disk: string,
  root: Extent,
  tree: string,
  uuid: string,
  folder: string,
): Promise<void> {
  const range = ['--offset', String(root.startBytes), '--sizelimit', String(root.sizeBytes)]
  const loop = (await run('losetup', ['-f', '--show', ...range, disk])).trim()
  try {
    await run('mkfs.xfs', ['-q', '-m', `uuid=${uuid}`, '-L', 'root', loop])
    const mount = path.join(folder, 'mount')
    await mkdir(mount)
    const script = 'mount -t xfs "$1" "$2" && cp -a "$3/." "$2/" && umount "$2"'
    const args = ['--mount', 'sh', '-ec', script, 'sh', loop, mount, tree]
    await run('unshare', args, { timeoutMs: MAKE_FILE_SYSTEM_TIMEOUT_MS })
  } finally {
    await run('losetup', ['-d', loop])
  }
}

/** As Ubuntu and openSUSE have it: the root and /home are subvolumes, a snapshot shares what it can. */
async function makeBtrfs(
  disk: string,
  root: Extent,
  tree: string,
  { rootUuid, subvolume = '@' }: GoldenRecipe,
  folder: string,
): Promise<void> {
  const range = ['--offset', String(root.startBytes), '--sizelimit', String(root.sizeBytes)]
  const loop = (await run('losetup', ['-f', '--show', ...range, disk])).trim()
  try {
    await run('mkfs.btrfs', ['-q', '-U', rootUuid, '-L', 'root', loop])
    const mount = path.join(folder, 'mount')
    await mkdir(mount)
    const script = `mount -t btrfs -o compress=zstd:1 "$1" "$2"
      for name in "$4" @home @snapshots; do btrfs -q subvolume create "$2/$name"; done
      cp -a "$3/." "$2/$4/"
      btrfs -q subvolume snapshot -r "$2/$4" "$2/@snapshots/installed"
      umount "$2"`
    const args = ['--mount', 'sh', '-ec', script, 'sh', loop, mount, tree, subvolume]
    await run('unshare', args, { timeoutMs: MAKE_FILE_SYSTEM_TIMEOUT_MS })
  } finally {
    await run('losetup', ['-d', loop])
  }
}

async function shell(script: string, args: string[]): Promise<void> {
  await run('sh', ['-ec', script, 'sh', ...args])
}
