import { readFile, realpath, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Disk } from '#protocol/machine/inventory.ts'
import { deviceNumber } from '../device-number.ts'
import type { Exec } from '../exec.ts'
import { identifyDisk, isMemoryCard, usbDeviceFolder } from './disk-identity.ts'
import {
  layoutFingerprint,
  readLayout,
  type DiskLayout,
  type KernelPartition,
} from './disk-layout.ts'
import { findUse, parseMounts, parseSwaps, type DiskNode, type SystemUse } from './disk-use.ts'
import { readBytes, readFlag, readNames, readNumber, readTarget, readText } from './sysfs.ts'

const SYS_BLOCK = '/sys/block'
/** Sizes and starts in sysfs count these, whatever the disk's sectors. */
const SYSFS_SECTOR_BYTES = 512

/**
 * Not disks of this machine: memory, optical drives, floppies, what is built on or reaches other disks, and
 * the single paths to an NVMe disk that has several (`nvme0c1n1`, which no node leads to).
 */
const NOT_DISKS =
  /^(loop|ram|zram|dm-|md|sr|fd|nbd|drbd|rbd|bcache|mtdblock|pmem)\d|^mmcblk\d+(boot|rpmb|gp)|^nvme\d+c\d/

export function isDiskOfMachine(name: string): boolean {
  return !NOT_DISKS.test(name)
}

/** All disks of the machine, and any block device that `asked` names by its path. */
export async function readDisks(exec: Exec, asked: readonly string[] = []): Promise<Disk[]> {
  const use = await readUse()
  const names = (await readNames(SYS_BLOCK)).filter(isDiskOfMachine)
  for (const path of asked) {
    const name = await diskName(path)
    if (!names.includes(name)) names.push(name)
  }
  const disks = await Promise.all(names.map((name) => readDisk(exec, name, use)))
  return disks.filter((disk) => disk.sizeBytes > 0)
}

/**
 * `/dev/disk/by-id/ata-…` → `sda`: by the device's numbers, since a file may be called as a disk is.
 * Throws for what is no whole disk.
 */
export async function diskName(path: string): Promise<string> {
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    const why = cause.code === 'ENOENT' ? 'it is not there' : cause.message
    throw new Error(`Disk "${path}" cannot be opened: ${why}; "lsblk" lists disks`, { cause })
  })
  const folder = found.isBlockDevice()
    ? await readTarget(`/sys/dev/block/${deviceNumber(found.rdev)}`)
    : undefined
  const name = folder && basename(folder)
  if (name && (await readText(join(SYS_BLOCK, name, 'dev'))) !== undefined) return name
  if (name && (await readText(join('/sys/class/block', name, 'partition'))) !== undefined)
    throw new Error(`"${path}" is a partition; name the whole disk`)
  throw new Error(`"${path}" is no disk; "lsblk" lists disks, and "losetup" makes one of a file`)
}

/** One disk as it is now. Throws for what is no whole disk. */
export async function readDiskAt(exec: Exec, path: string): Promise<Disk> {
  return await readDisk(exec, await diskName(path), await readUse())
}

async function readUse(): Promise<SystemUse> {
  return {
    mounts: parseMounts(await readFile('/proc/self/mountinfo', 'utf8')),
    swaps: parseSwaps((await readText('/proc/swaps')) ?? ''),
    loops: await readLoops(),
  }
}

async function readLoops(): Promise<SystemUse['loops']> {
  const names = (await readNames(SYS_BLOCK)).filter((name) => /^loop\d/.test(name))
  const loops = names.map(async (name) => {
    const target = await readText(join(SYS_BLOCK, name, 'loop/backing_file'))
    // What a file lies on is mounted, and known by that; to look at one may wait for ever, as on a share that is gone.
    const isDevice = target?.startsWith('/dev/')
    const found = isDevice ? await stat(target!).catch(() => undefined) : undefined
    return found && found.isBlockDevice()
      ? [{ path: `/dev/${name}`, device: deviceNumber(found.rdev) }]
      : []
  })
  return (await Promise.all(loops)).flat()
}

async function readDisk(exec: Exec, name: string, use: SystemUse): Promise<Disk> {
  const folder = join(SYS_BLOCK, name)
  const path = `/dev/${name.replaceAll('!', '/')}`
  const partitionNames = await readPartitionNames(folder, name)
  const known = await Promise.all(partitionNames.map((one) => readPartition(join(folder, one))))
  const nodes = [
    await readNode(folder, path),
    ...(await Promise.all(partitionNames.map((one) => readNode(join(folder, one), `/dev/${one}`)))),
  ]
  const busy = findUse(nodes, use)
  const sectorBytes = (await readNumber(join(folder, 'queue/logical_block_size'))) ?? 512
  const physical = await readNumber(join(folder, 'queue/physical_block_size'))
  const sizeBytes = ((await readNumber(join(folder, 'size'))) ?? 0) * SYSFS_SECTOR_BYTES
  const layout = await readLayoutOrNone(exec, path, sizeBytes, sectorBytes, known)
  return {
    path,
    ...identifyDisk(await readAttributes(folder, name)),
    sizeBytes,
    sectorBytes,
    ...(physical !== undefined && physical >= 512 && { physicalSectorBytes: physical }),
    rotational: await readFlag(join(folder, 'queue/rotational')),
    removable: (await readFlag(join(folder, 'removable'))) || (await isCardInSlot(folder, name)),
    readOnly: await readFlag(join(folder, 'ro')),
    ...(busy !== undefined && { busy }),
    ...layout,
    fingerprint: layoutFingerprint(layout),
  }
}

/** A disk that can't be read is still there to be seen. */
async function readLayoutOrNone(
  exec: Exec,
  path: string,
  sizeBytes: number,
  sectorBytes: number,
  known: readonly KernelPartition[],
): Promise<DiskLayout> {
  const none: DiskLayout = { partitionTable: { type: 'none' }, partitions: [] }
  if (sizeBytes === 0) return none
  try {
    return await readLayout(exec, path, sectorBytes, known)
  } catch (err) {
    const { syscall, code } = err as NodeJS.ErrnoException
    if (syscall === undefined) throw err
    return { ...none, layoutError: `its beginning cannot be read: ${code}` }
  }
}

async function readAttributes(folder: string, name: string) {
  const device = (attribute: string) => readText(join(folder, 'device', attribute))
  const devicePath = await realpath(folder)
  const usbDevice = usbDeviceFolder(devicePath)
  return {
    name,
    devicePath,
    serial: (await readText(join(folder, 'serial'))) ?? (await device('serial')),
    vpdPage80: await readBytes(join(folder, 'device/vpd_pg80')),
    wwid: (await readText(join(folder, 'wwid'))) ?? (await device('wwid')),
    model: (await device('model')) ?? (await device('name')),
    vendor: await device('vendor'),
    usbSerial: usbDevice && (await readText(join(usbDevice, 'serial'))),
  }
}

/** An MMC device tells its type where a SCSI device tells its own, a number. */
async function isCardInSlot(folder: string, name: string): Promise<boolean> {
  return name.startsWith('mmcblk') && isMemoryCard(await readText(join(folder, 'device/type')))
}

async function readPartitionNames(folder: string, name: string): Promise<string[]> {
  const children = (await readNames(folder)).filter((child) => child.startsWith(name))
  const flags = await Promise.all(
    children.map((child) => readText(join(folder, child, 'partition'))),
  )
  return children.filter((_, index) => flags[index] !== undefined)
}

async function readPartition(folder: string): Promise<KernelPartition> {
  return {
    number: (await readNumber(join(folder, 'partition'))) ?? 0,
    startBytes: ((await readNumber(join(folder, 'start'))) ?? 0) * SYSFS_SECTOR_BYTES,
    sizeBytes: ((await readNumber(join(folder, 'size'))) ?? 0) * SYSFS_SECTOR_BYTES,
  }
}

async function readNode(folder: string, path: string): Promise<DiskNode> {
  return {
    path,
    device: (await readText(join(folder, 'dev'))) ?? '',
    holders: await readNames(join(folder, 'holders')),
  }
}
