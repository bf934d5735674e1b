import type { FastifyBaseLogger } from 'fastify'
import { formatIpv4Range } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Config, DhcpConfig, NetworkConfig } from './config.ts'
import type { Database } from './db/database.ts'
import { recordEvent } from './db/events.ts'
import { createDatabaseLeaseStore } from './db/leases.ts'
import { findMachineRow, seeMachine } from './db/machines.ts'
import { listReservations } from './db/reservations.ts'
import type { DhcpEvent, SeenMachine } from './dhcp/dhcp-event.ts'
import { openDhcpServer, type DhcpServerOptions } from './dhcp/dhcp-server.ts'
import { findInheritedSocket } from './dhcp/inherited-sockets.ts'
import { probeForServers } from './dhcp/probe-for-servers.ts'
import type { Metrics } from './metrics.ts'
import { ServiceError } from './service-error.ts'

export interface DhcpOptions {
  config: Config
  network: NetworkConfig
  dhcp: Exclude<DhcpConfig, { mode: 'off' }>
  url: string
  db: Database
  metrics: Metrics
  bootFiles: () => Promise<ReadonlySet<string>>
  log: FastifyBaseLogger
  now: () => Date
}

/** Machines that are being written to the database at one moment. */
const MAX_PENDING_MACHINES = 256

/** DHCP in the configured mode. Throws ServiceError or SocketError. */
export async function openDhcp(options: DhcpOptions): Promise<AsyncDisposable> {
  const { config, network, dhcp, url, db, bootFiles, log } = options
  const { address } = network.cidr
  const common = {
    interface: network.interface,
    bootFiles,
    ...(config.unknown === 'ignore' && {
      knows: async (mac: Mac) => (await findMachineRow(db, mac)) !== undefined,
    }),
    onSeen: createMemory(options),
    onEvent: (event: DhcpEvent) => notice(db, event, log),
    log,
    inherited: inheritedSockets(),
  } satisfies Partial<DhcpServerOptions>
  const settings = { address, boot: { serverUrl: url } }
  if (dhcp.mode === 'proxy') return openDhcpServer({ ...common, mode: 'proxy', settings })

  const pool = {
    range: dhcp.range,
    ...(dhcp.router && { router: dhcp.router }),
    nameServers: dhcp.dns,
    leaseSeconds: dhcp.leaseSeconds,
  }
  return openDhcpServer({
    ...common,
    mode: 'server',
    settings: { ...settings, network: network.cidr, pool },
    leases: createDatabaseLeaseStore(db),
    reservations: () => listReservations(db),
  })
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

/**
 * Only what boots from the network is a machine of ours; a passing laptop is not. In a flood some are
 * not remembered: real ones ask again.
 */
function createMemory({ db, metrics, log, now }: DhcpOptions): (seen: SeenMachine) => void {
  let pending = 0
  return ({ mac, firmware }) => {
    metrics.dhcpRequests.inc({ firmware: firmware ?? 'none' })
    if (pending >= MAX_PENDING_MACHINES) return
    pending += 1
    seeMachine(db, mac, now(), { creates: firmware !== undefined })
      .catch((err: unknown) => log.error({ err, mac }, 'Failed to remember a machine'))
      .finally(() => (pending -= 1))
  }
}

function notice(db: Database, event: DhcpEvent, log: FastifyBaseLogger): void {
  if (event.kind === 'lease') return // its store records it with the change
  const { kind: code, ...details } = event
  const message = noticeMessage(event)
  log.warn({ ...details, code }, message)
  db.transaction((tx) => recordEvent(tx, 'notice', { code, message, ...details })).catch(
    (err: unknown) => log.error({ err }, 'Failed to record an event'),
  )
}

function noticeMessage(event: Exclude<DhcpEvent, { kind: 'lease' }>): string {
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
