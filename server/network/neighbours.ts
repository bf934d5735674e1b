import { readFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { networkRange, parseIpv4, rangeContains, type Ipv4 } from '#protocol/ipv4.ts'
import { MAC_PATTERN, parseMac, type Mac } from '#protocol/mac.ts'
import type { NetworkConfig } from '../settings/network-config.ts'

/** net/if_arp.h: the entry was answered for. */
const ATF_COM = 0x2

const MAC_REGEXP = new RegExp(MAC_PATTERN)

/** The card that answers under an address of the interface, as the kernel knows it. */
export async function findNeighbour(
  interfaceName: string,
  address: Ipv4,
): Promise<Mac | undefined> {
  return parseNeighbours(await readFile('/proc/net/arp', 'utf8'), interfaceName).get(address)
}

/** Reads /proc/net/arp (proc(5)). */
export function parseNeighbours(table: string, interfaceName: string): Map<string, Mac> {
  const neighbours = new Map<string, Mac>()
  for (const line of table.split('\n').slice(1)) {
    const [address, , flags, mac, , device] = line.split(/\s+/)
    if (device !== interfaceName || !address || !(Number(flags) & ATF_COM)) continue
    // Other links than Ethernet have hardware addresses of other lengths.
    if (!mac || !MAC_REGEXP.test(mac)) continue
    neighbours.set(address, parseMac(mac))
  }
  return neighbours
}

/** Whether an asker is on our link, so that the kernel must know its card. */
export function isOnLink(network: NetworkConfig | undefined, address: Ipv4): boolean {
  return network !== undefined && rangeContains(networkRange(network.cidr), address)
}

/** The address of a connection; undefined for IPv6, under which machines do not boot here. */
export function ipv4Of(remoteAddress: string): Ipv4 | undefined {
  const text = remoteAddress.replace(/^::ffff:/i, '')
  return isIPv4(text) ? parseIpv4(text) : undefined
}
