import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A device-mapper device that the running system has, as sysfs tells it. */
export type MappedDevice = {
  /** `dm-0`. */
  kernelName: string
  /** `vg-root`. */
  name: string
  /** LVM: `LVM-` and the UUIDs of group and volume without dashes. */
  uuid: string
  /** Kernel names of the devices that it lies on: `sda3`, `dm-1`. */
  slaves: string[]
}

const SYSFS_BLOCK = '/sys/block'

export async function listMappedDevices(): Promise<MappedDevice[]> {
  const names = await readdir(SYSFS_BLOCK)
  const mapped = names.filter((name) => name.startsWith('dm-'))
  return await Promise.all(
    mapped.map(async (kernelName) => ({
      kernelName,
      name: await readAttribute(kernelName, 'dm/name'),
      uuid: await readAttribute(kernelName, 'dm/uuid'),
      slaves: await readdir(join(SYSFS_BLOCK, kernelName, 'slaves')).catch(() => []),
    })),
  )
}

async function readAttribute(kernelName: string, attribute: string): Promise<string> {
  const text = await readFile(join(SYSFS_BLOCK, kernelName, attribute), 'utf8').catch(() => '')
  return text.trim()
}

/** Kernel names of what `device` lies on in the end: partitions and disks, no mapped devices. */
export function foundations(device: MappedDevice, all: readonly MappedDevice[]): string[] {
  return device.slaves.flatMap((slave) => {
    const mapped = all.find(({ kernelName }) => kernelName === slave)
    return mapped ? foundations(mapped, all) : [slave]
  })
}

/** How device-mapper spells a volume: dashes within a name are doubled. */
export function isOfGroup(device: MappedDevice, group: { name: string; uuid: string }): boolean {
  const prefix = `${group.name.replaceAll('-', '--')}-`
  const named = device.name.startsWith(prefix) && device.name[prefix.length] !== '-'
  return named || device.uuid.startsWith(`LVM-${group.uuid.replaceAll('-', '')}`)
}
