import { networkInterfaces } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatIpv4, type Ipv4, ipv4ToNumber } from '#protocol/ipv4.ts'
import { type Mac, parseMac } from '#protocol/mac.ts'
import { openPacketSocket } from './system-calls.ts'

const ETHERTYPE_ARP = 0x0806
const ARP_REQUEST = 1
const ARP_REPLY = 2
const PROBE_MS = 500
const PROBES = 2
const POLL_MS = 20

/**
 * Who answers under an address, or undefined if nobody does within half a second. ARP rather than
 * ping: a firewall may drop the one, but nobody on the link can go without the other. Our own address
 * stays out of the question (RFC 5227 2.1.1), so that nobody learns anything from it.
 */
export async function findHolder(interfaceName: string, address: Ipv4): Promise<Mac | undefined> {
  // This host may have more addresses than the one that it serves from, and hears no question of its own.
  if (isOurs(address)) return macOfInterface(interfaceName)
  using socket = openPacketSocket(interfaceName, ETHERTYPE_ARP)
  const probe = encodeProbe(macOfInterface(interfaceName), address)
  for (let sent = 0; sent < PROBES; sent += 1) {
    socket.send(probe)
    for (let waited = 0; waited < PROBE_MS / PROBES; waited += POLL_MS) {
      await sleep(POLL_MS)
      for (let frame = socket.receive(); frame; frame = socket.receive()) {
        const holder = holderIn(frame, address)
        if (holder) return holder
      }
    }
  }
  return undefined
}

/** Throws a SocketError if findHolder could not work here. */
export function checkProbing(interfaceName: string): void {
  openPacketSocket(interfaceName, ETHERTYPE_ARP)[Symbol.dispose]()
}

export function macOfInterface(interfaceName: string): Mac {
  const mac = networkInterfaces()[interfaceName]?.[0]?.mac
  if (mac === undefined) throw new Error(`Interface "${interfaceName}" has no address`)
  return parseMac(mac)
}

/** On whichever interface: Linux answers ARP for all addresses of the host on each of them. */
function isOurs(address: Ipv4): boolean {
  return Object.values(networkInterfaces()).some((own) =>
    own?.some((one) => one.address === address),
  )
}

/** RFC 826, in an Ethernet frame to everybody. */
function encodeProbe(sender: Mac, address: Ipv4): Uint8Array {
  const senderHex = sender.replaceAll(':', '')
  const frame = Buffer.alloc(60)
  frame.write(`ffffffffffff${senderHex}0806000108000604000${ARP_REQUEST}${senderHex}`, 'hex')
  frame.writeUInt32BE(ipv4ToNumber(address), 38)
  return frame
}

function holderIn(frame: Uint8Array, address: Ipv4): Mac | undefined {
  const bytes = Buffer.from(frame)
  if (bytes.length < 42 || bytes.readUInt16BE(20) !== ARP_REPLY) return undefined
  if (formatIpv4(bytes.readUInt32BE(28)) !== address) return undefined
  return parseMac(bytes.toString('hex', 22, 28))
}
