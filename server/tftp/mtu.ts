import { readFile } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'

const ETHERNET_MTU_BYTES = 1500

/** MTU of the interface that has `address`; that of Ethernet if none has it (such as `0.0.0.0`). */
export async function readMtu(address: string): Promise<number> {
  const name = Object.entries(networkInterfaces()).find(([, addresses]) =>
    addresses?.some((one) => one.address === address),
  )?.[0]
  if (name === undefined) return ETHERNET_MTU_BYTES
  // Node does not tell the MTU; the kernel does (Documentation/ABI/testing/sysfs-class-net).
  const text = await readFile(`/sys/class/net/${name}/mtu`, 'utf8').catch(() => '')
  return Number.parseInt(text) || ETHERNET_MTU_BYTES
}
