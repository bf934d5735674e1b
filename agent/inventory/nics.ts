import { networkInterfaces } from 'node:os'
import { basename, join } from 'node:path'
import type { Inventory } from '#protocol/machine/inventory.ts'
import { readFlag, readNames, readNumber, readTarget, readText } from './sysfs.ts'

const SYS_NET = '/sys/class/net'
/** ARPHRD_ETHER of linux/if_arp.h. */
const ETHERNET = 1

/** Network cards; bridges, tunnels and the loopback have no device behind them. */
export async function readNics(): Promise<Inventory['nics']> {
  const nics: Inventory['nics'] = []
  for (const name of await readNames(SYS_NET)) {
    const folder = join(SYS_NET, name)
    const mac = await readText(join(folder, 'address'))
    const isCard = (await readTarget(join(folder, 'device'))) !== undefined
    if (!isCard || mac === undefined || (await readNumber(join(folder, 'type'))) !== ETHERNET)
      continue
    const speed = await readNumber(join(folder, 'speed'))
    const driver = await readTarget(join(folder, 'device/driver'))
    nics.push({
      name,
      mac,
      link: await readFlag(join(folder, 'carrier')),
      // -1: the driver can't tell.
      ...(speed !== undefined && speed > 0 && { speedMbps: speed }),
      ...(driver !== undefined && { driver: basename(driver) }),
      addresses: (networkInterfaces()[name] ?? []).flatMap(({ cidr }) => cidr ?? []),
    })
  }
  return nics
}
