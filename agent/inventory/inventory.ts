import { readFile } from 'node:fs/promises'
import type { Inventory } from '#protocol/machine/inventory.ts'
import type { Exec } from '../exec.ts'
import { AGENT_VERSION } from '../version.ts'
import { readDisks } from './disks.ts'
import {
  parseCpuInfo,
  parseMemoryBytes,
  readFirmware,
  readSmbios,
  readSystem,
  readTpm,
} from './machine.ts'
import { readNics } from './nics.ts'

/**
 * What this machine is. Devices are opened for reading only; nothing is assembled, activated or
 * mounted. `disks` names block devices to look at although they are not disks of the machine.
 */
export async function takeInventory(
  exec: Exec,
  { disks = [] }: { disks?: readonly string[] } = {},
): Promise<Inventory> {
  return {
    at: new Date().toISOString(),
    agentVersion: AGENT_VERSION,
    ...(await readFirmware()),
    ...readSystem(),
    smbios: await readSmbios(),
    cpu: parseCpuInfo(await readFile('/proc/cpuinfo', 'utf8')),
    memoryBytes: parseMemoryBytes(await readFile('/proc/meminfo', 'utf8')),
    disks: await readDisks(exec, disks),
    nics: await readNics(),
    ...(await readTpm()),
  }
}
