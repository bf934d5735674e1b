import { open, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { run } from './command.ts'
import type { GoldenRecipe } from './golden-recipes.ts'

const GRUB_FOLDER = '/usr/lib/grub'
const SECTOR_BYTES = 512

const MODULES =
  'part_gpt part_msdos ext2 xfs btrfs fat lvm search search_fs_uuid normal configfile linux echo test'.split(
    ' ',
  )

/**
 * Writes GRUB's boot sector and core image for BIOS into a disk image. Done by hand, because
 * grub-install wants the root mounted from a device that GRUB can map, and LVM cannot be activated
 * on a machine without device mapper.
 *
 * The places that are patched are named in GRUB's include/grub/i386/pc/boot.h: 0x5c the sector of
 * the core image, 0x66 a check of the drive number that is overwritten on hard disks, and in the
 * core image's first sector, 0x1f4 the sector where the rest of it goes on.
 */
export async function embedBiosGrub(
  disk: string,
  recipe: GoldenRecipe,
  core: { startSector: number; sectors: number },
  folder: string,
): Promise<void> {
  const image = await makeCore('i386-pc', recipe, ['biosdisk'], folder)
  const bytes = await readFile(image)
  if (bytes.length > core.sectors * SECTOR_BYTES)
    throw new Error(`GRUB's core image has ${bytes.length} bytes, more than its place on the disk`)
  bytes.writeBigUInt64LE(BigInt(core.startSector + 1), 0x1f4)

  const boot = await readFile(path.join(GRUB_FOLDER, 'i386-pc', 'boot.img'))
  boot.writeBigUInt64LE(BigInt(core.startSector), 0x5c)
  boot.set([0x90, 0x90], 0x66)

  await using file = await open(disk, 'r+')
  await file.write(boot, 0, 440, 0) // the partition table of the MBR follows
  await file.write(bytes, 0, bytes.length, core.startSector * SECTOR_BYTES)
}

/** Makes GRUB for UEFI, one file that finds the root by itself. Returns its path. */
export function makeEfiGrub(recipe: GoldenRecipe, folder: string): Promise<string> {
  return makeCore('x86_64-efi', recipe, ['all_video', 'gfxterm'], folder)
}

async function makeCore(
  format: string,
  recipe: GoldenRecipe,
  modules: string[],
  folder: string,
): Promise<string> {
  const config = path.join(folder, `${format}.cfg`)
  const core = path.join(folder, `${format}.core`)
  await writeFile(
    config,
    `search --no-floppy --fs-uuid --set=root ${recipe.rootUuid}
set prefix=($root)${recipe.subvolume ? `/${recipe.subvolume}` : ''}/boot/grub
`,
  )
  const options = ['-O', format, '-o', core, '-c', config, '-p', '/boot/grub']
  await run('grub-mkimage', [...options, ...MODULES, ...modules])
  return core
}
