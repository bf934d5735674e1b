import type { FastifyBaseLogger } from 'fastify'
import { formatIpv4Range } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import type { BootProgress } from './boot-progress.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import { recordEvent } from '../db/events.ts'
import { listHeldAddresses } from '../db/network/held-addresses.ts'
import { createDatabaseLeaseStore } from '../db/network/leases.ts'
import { findMachineRow } from '../db/machines/machines.ts'
import type { DhcpEvent, SeenMachine } from '../dhcp/dhcp-event.ts'
import { openDhcpServer, type DhcpServerOptions } from '../dhcp/dhcp-server.ts'
import { findInheritedSocket } from '../dhcp/inherited-sockets.ts'
import { probeForServers } from '../dhcp/probe-for-servers.ts'
import type { Metrics } from '../metrics.ts'
import { openServerWatch, type ServerWatch } from './other-dhcp-servers.ts'
import { ServiceError } from '../service-error.ts'
import type { DhcpConfig } from '../settings/dhcp-config.ts'
import type { NetworkConfig } from '../settings/network-config.ts'

export interface DhcpOptions {
  config: Config
  network: NetworkConfig
  dhcp: Exclude<DhcpConfig, { mode: 'off' }>
  url: string
  db: Database
  boots: BootProgress
  metrics: Metrics
  bootFiles: () => Promise<ReadonlySet<string>>
  log: FastifyBaseLogger
  now: () => Date
}

/** DHCP in the configured mode. Throws ServiceError or SocketError. */
export async function openDhcp(options: DhcpOptions): Promise<AsyncDisposable> {
  const { config, network, dhcp, url, db, bootFiles, log } = options
  const { address } = network.cidr
  await using opened = new AsyncDisposableStack()
  const watch = opened.use(openServerWatch({ ...options, mode: dhcp.mode }))
  const common = {
    interface: network.interface,
    bootFiles,
    ...(config.unknown === 'ignore' && {
      knows: async (mac: Mac) => (await findMachineRow(db, mac)) !== undefined,
    }),
    onSeen: createMemory(options),
    onEvent: (event: DhcpEvent) => notice(options, watch, event),
    log,
    inherited: inheritedSockets(),
  } satisfies Partial<DhcpServerOptions>
  const settings = { address, boot: { serverUrl: url } }
  if (dhcp.mode === 'proxy') {
    opened.use(await openDhcpServer({ ...common, mode: 'proxy', settings }))
    return opened.move()
  }

  const pool = {
    range: dhcp.range,
    ...(dhcp.router && { router: dhcp.router }),
    nameServers: dhcp.dns,
    leaseSeconds: dhcp.leaseSeconds,
  }
  opened.use(
    await openDhcpServer({
      ...common,
      mode: 'server',
      settings: { ...settings, network: network.cidr, pool },
      leases: createDatabaseLeaseStore(db),
      reservations: () => listHeldAddresses(db, network.cidr),
    }),
  )
  return opened.move()
}

/**
 * Two servers would give out each other's addresses. Asked before anything slow is opened, so that the
 * operator hears of it at once. Throws ServiceError or SocketError.
 */
export async function refuseBesideAnother({ network, dhcp }: Config): Promise<void> {
  if (!network || dhcp.mode !== 'server' || dhcp.force) return
  const servers = await probeForServers(network.interface)
  if (servers.length === 0) return
  throw new ServiceError(
    `Another DHCP server answers on ${network.interface}: ${servers.join(', ')}; stop it, set STAMPEDE_DHCP=proxy to work beside it, or STAMPEDE_DHCP_FORCE=1 to start nevertheless`,
  )
}

/** Sockets that a systemd unit passed, so that this process needs no privilege for them. */
function inheritedSockets(): { dhcp?: number; bootServer?: number } {
  const dhcp = findInheritedSocket(process.env, process.pid, 'dhcp')
  const bootServer = findInheritedSocket(process.env, process.pid, 'bootServer')
  return { ...(dhcp !== undefined && { dhcp }), ...(bootServer !== undefined && { bootServer }) }
}

/** Only what boots from the network is a machine of ours; a passing laptop is not. */
function createMemory({ boots, metrics }: DhcpOptions): (seen: SeenMachine) => void {
  return ({ mac, firmware }) => {
    metrics.dhcpRequests.inc({ firmware: firmware ?? 'none' })
    boots.dhcp(mac, firmware)
  }
}

function notice({ db, log }: DhcpOptions, watch: ServerWatch, event: DhcpEvent): void {
  if (event.kind === 'lease') return // its store records it with the change
  if (event.kind === 'other-server') return watch.heard(event.address)
  const { kind: code, ...details } = event
  const message = noticeMessage(event)
  log.warn({ ...details, code }, message)
  db.transaction(async (tx) => recordEvent(tx, 'notice', { code, message, ...details })).catch(
    (err: unknown) => log.error({ err }, 'Failed to record an event'),
  )
}

function noticeMessage(event: Exclude<DhcpEvent, { kind: 'lease' | 'other-server' }>): string {
  switch (event.kind) {
    case 'pool-exhausted':
      return `No address is left for ${event.mac}; widen STAMPEDE_DHCP_RANGE`
    case 'address-in-use':
      return `Address ${event.address} is used by ${event.holder}, which has no lease for it; it is set aside`
    case 'no-boot-file': {
      const firmware =
        event.firmware ?? `an unknown firmware (architecture ${event.architectures.join(', ')})`
      const advice = event.wanted.length
        ? `put ${event.wanted.join(' or ')} into the boot folder`
        : 'it cannot boot from here'
      return `There is no boot file for ${event.mac} with ${firmware}; ${advice}`
    }
  }
}

/** For people: `proxy`, or `server (10.0.0.100-10.0.0.199)`. */
export function describeDhcp(dhcp: DhcpConfig): string {
  if (dhcp.mode !== 'server') return dhcp.mode
  return `server (${formatIpv4Range(dhcp.range)})`
}
