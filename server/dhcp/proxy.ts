import type { DhcpPacket } from '#protocol/dhcp/dhcp.ts'
import { findMac, findMessage } from '#protocol/dhcp/dhcp-options.ts'
import { bootFields, bootFor, clientOf } from './boot-options.ts'
import { createProxyAnswer } from './reply.ts'
import type { ProxySettings } from './settings.ts'

/**
 * The answer beside another DHCP server, or undefined. On the DHCP port a DISCOVER gets an offer of
 * boot information; REQUESTs there are for the other server. On the boot server port (4011), where
 * clients come that want to hear it again, a REQUEST is acknowledged.
 */
export function proxyAnswer(
  packet: DhcpPacket,
  port: 'dhcp' | 'boot-server',
  settings: ProxySettings,
): DhcpPacket | undefined {
  const mac = findMac(packet)
  const message = findMessage(packet)
  if (packet.op !== 'request' || !mac) return undefined
  if (port === 'dhcp' && message !== 'discover') return undefined
  if (message !== 'discover' && message !== 'request' && message !== 'inform') return undefined
  const client = clientOf(packet)
  const answer = bootFor(client, mac, settings.boot)
  if (client.kind !== 'known' || !answer || answer.kind === 'none') return undefined
  const voice = port === 'dhcp' ? 'proxy' : 'boot-server'
  const boot = bootFields(packet, answer, client.firmware, voice, settings)
  return createProxyAnswer(packet, message === 'discover' ? 'offer' : 'ack', boot, settings.address)
}
