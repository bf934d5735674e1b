import type { RemoteInfo, Socket } from 'node:dgram'
import { once } from 'node:events'
import { decodeDhcp, type DhcpPacket, encodeDhcp } from '#protocol/dhcp/dhcp.ts'
import { DhcpDecodeError } from '#protocol/dhcp/dhcp-error.ts'
import { DHCP_OPTION } from '#protocol/dhcp/dhcp-fields.ts'
import {
  findAddress,
  findArchitectures,
  findMac,
  findMessage,
} from '#protocol/dhcp/dhcp-options.ts'
import type { Mac } from '#protocol/mac.ts'
import type { BootClientKind } from '#server/boot/firmware.ts'
import { checkProbing, findHolder } from './arp-probe.ts'
import { bootFor, clientOf } from './boot-options.ts'
import { openDeviceSocket } from './device-socket.ts'
import type { DhcpEvent, SeenMachine } from './dhcp-event.ts'
import { createLanes } from './lanes.ts'
import { type DhcpLog, serveLease } from './lease-server.ts'
import type { LeaseStore, Reservation } from './lease-store.ts'
import { proxyAnswer } from './proxy.ts'
import { destinationOf, packetLimitBytes } from './reply.ts'
import type { BootSettings, ProxySettings, ServerSettings } from './settings.ts'
import { createThrottle } from './throttle.ts'

const DHCP_PORT = 67
const BOOT_SERVER_PORT = 4011

/** What is being answered at one moment, in all and for one machine; clients repeat what is dropped. */
const MAX_MACHINES = 128
const MAX_PACKETS_PER_MACHINE = 4

/** What listeners are told at most; leases are limited by the pool. */
const EVENT_LIMITS = { windowSeconds: 60, keys: 30 }
const SEEN_LIMITS = { windowSeconds: 10, keys: 1000 }

type BootFiles = ReadonlySet<string>
type WithoutFiles<T extends ProxySettings> = Omit<T, 'boot'> & {
  boot: Omit<BootSettings, 'bootFiles'>
}

interface CommonOptions {
  /** The one interface that is heard and answered. */
  interface: string
  /** Names of the boot files that exist, asked for each packet: they may come and go. */
  bootFiles: () => BootFiles | Promise<BootFiles>
  /** STAMPEDE_UNKNOWN=ignore: machines for which it says false get no answer. */
  knows?: (mac: Mac) => Promise<boolean>
  onSeen?: (machine: SeenMachine) => void
  /** Also does the logging for people: here it is at `debug`, for a flood must not fill the log. */
  onEvent?: (event: DhcpEvent) => void
  log: DhcpLog
  /** Descriptors of sockets that systemd passed: `dhcp` is port 67, `bootServer` port 4011. */
  inherited?: { dhcp?: number; bootServer?: number }
}

export type DhcpServerOptions = CommonOptions &
  (
    | {
        mode: 'server'
        settings: WithoutFiles<ServerSettings>
        leases: LeaseStore
        reservations: () => Promise<readonly Reservation[]>
      }
    | { mode: 'proxy'; settings: WithoutFiles<ProxySettings> }
  )

/**
 * Answers DHCP until it is disposed; in mode `proxy` also on the boot server port. Throws SocketError with a
 * sentence for the operator if a port cannot be had.
 */
export async function openDhcpServer(options: DhcpServerOptions): Promise<AsyncDisposable> {
  await using opened = new AsyncDisposableStack()
  if (options.mode === 'server') checkProbing(options.interface)
  const { inherited = {}, interface: name } = options
  const service = createService(options)

  const dhcp = await openDeviceSocket({
    interface: name,
    port: DHCP_PORT,
    inherited: inherited.dhcp,
  })
  opened.defer(listen(dhcp, 'dhcp', service))

  if (options.mode === 'proxy') {
    const port = BOOT_SERVER_PORT
    const bootServer = await openDeviceSocket({
      interface: name,
      port,
      inherited: inherited.bootServer,
    })
    opened.defer(listen(bootServer, 'boot-server', service))
  }

  const resources = opened.move()
  return { [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

type Port = 'dhcp' | 'boot-server'

interface Service {
  answer: (packet: DhcpPacket, port: Port) => Promise<DhcpPacket | undefined>
  log: DhcpLog
}

/** Returns how to stop: what is being answered is answered first, for it may use the leases. */
function listen(socket: Socket, port: Port, service: Service): () => Promise<void> {
  const pending = new Set<Promise<void>>()
  socket.on('error', (err) => service.log.error({ err }, 'DHCP socket failed'))
  socket.on('message', (bytes, peer) => {
    const answered = answerDatagram(socket, port, service, bytes, peer)
    pending.add(answered)
    void answered.finally(() => pending.delete(answered))
  })
  return async () => {
    socket.removeAllListeners('message')
    await Promise.all(pending)
    socket.close()
    await once(socket, 'close')
  }
}

/** Never rejects. */
async function answerDatagram(
  socket: Socket,
  port: Port,
  { answer, log }: Service,
  bytes: Uint8Array,
  peer: RemoteInfo,
): Promise<void> {
  try {
    if (peer.port === 0) throw new DhcpDecodeError('The packet came from port 0')
    const packet = decodeDhcp(bytes)
    const reply = await answer(packet, port)
    if (!reply) return
    const to = port === 'dhcp' ? destinationOf(reply) : askedFrom(peer)
    socket.send(encodeDhcp(reply, packetLimitBytes(packet)), to.port, to.address, (err) => {
      if (err) log.debug({ err, to }, 'Could not send a DHCP answer')
    })
  } catch (err) {
    // One bad packet must not stop the service for everyone else.
    if (err instanceof DhcpDecodeError) log.debug({ err, peer }, 'Ignoring malformed packet')
    else log.error({ err, peer }, 'Failed to answer')
  }
}

/** PXE 2.1: whoever asks the boot server has an address, and listens where it asked from. */
function askedFrom({ address, port }: RemoteInfo): { address: string; port: number } {
  return { address, port }
}

function createService(options: DhcpServerOptions): Service {
  const { log, knows, onSeen } = options
  const inOrder = createLanes<Mac>({ lanes: MAX_MACHINES, perLane: MAX_PACKETS_PER_MACHINE })
  const emit = createEmit(options)
  const isNews = createThrottle(SEEN_LIMITS)
  return {
    log,
    async answer(packet, port) {
      const mac = findMac(packet)
      if (packet.op !== 'request' || !mac) return undefined
      return await inOrder(mac, () => answerMachine(mac, packet, port))
    },
  }

  async function answerMachine(
    mac: Mac,
    packet: DhcpPacket,
    port: Port,
  ): Promise<DhcpPacket | undefined> {
    if (port === 'dhcp') reportOtherServer(packet)
    if (knows && !(await knows(mac))) return undefined
    const client = clientOf(packet)
    const firmware = firmwareOf(client)
    if (isNews(`${mac} ${firmware}`, new Date()))
      onSeen?.({ mac, stage: 'dhcp', ...(firmware && { firmware }) })
    const bootFiles = await options.bootFiles()
    if (findMessage(packet) === 'discover') reportMissingFile(packet, mac, bootFiles)
    return await answerIn(port, packet, bootFiles)
  }

  function answerIn(
    port: Port,
    packet: DhcpPacket,
    bootFiles: BootFiles,
  ): Promise<DhcpPacket | undefined> | DhcpPacket | undefined {
    const boot = { ...options.settings.boot, bootFiles }
    if (options.mode === 'proxy') return proxyAnswer(packet, port, { ...options.settings, boot })
    const { leases, reservations, settings, interface: name } = options
    return serveLease(packet, {
      settings: { ...settings, boot },
      leases,
      reservations,
      findHolder: (address) => findHolder(name, address),
      emit,
      log,
    })
  }

  /** Which server it chose, a machine tells everybody (RFC 2131 3.1.3). */
  function reportOtherServer(packet: DhcpPacket): void {
    if (findMessage(packet) !== 'request') return
    const address = findAddress(packet, DHCP_OPTION.serverId)
    if (address !== undefined && address !== options.settings.address)
      emit({ kind: 'other-server', address })
  }

  function reportMissingFile(packet: DhcpPacket, mac: Mac, bootFiles: BootFiles): void {
    const client = clientOf(packet)
    const answer = bootFor(client, mac, { ...options.settings.boot, bootFiles })
    if (answer?.kind !== 'none') return
    const firmware = client.kind === 'known' ? client.firmware : undefined
    const architectures = findArchitectures(packet)
    emit({
      kind: 'no-boot-file',
      mac,
      ...(firmware && { firmware }),
      architectures,
      wanted: answer.wanted,
    })
  }
}

/** What it boots with, if it boots from the network. */
function firmwareOf(client: BootClientKind): SeenMachine['firmware'] {
  switch (client.kind) {
    case 'none':
      return undefined
    case 'unknown':
      return 'unknown'
    case 'known':
      return client.firmware
  }
}

/** Of what may come often, each machine or server by itself. */
function throttleKey(event: DhcpEvent): string {
  if (event.kind === 'no-boot-file') return `${event.kind} ${event.mac}`
  return event.kind === 'other-server' ? `${event.kind} ${event.address}` : event.kind
}

function createEmit({ onEvent }: DhcpServerOptions): (event: DhcpEvent) => void {
  const mayPass = createThrottle(EVENT_LIMITS)
  return (event) => {
    if (event.kind !== 'lease') {
      if (!mayPass(throttleKey(event), new Date())) return
    }
    onEvent?.(event)
  }
}
