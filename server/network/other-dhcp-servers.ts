import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { DhcpConfig } from '../settings/dhcp-config.ts'
import type { NetworkConfig } from '../settings/network-config.ts'
import type { Database } from '../db/database.ts'
import { hearDhcpServer } from '../db/network/other-dhcp-servers.ts'
import { probeForServers } from '../dhcp/probe-for-servers.ts'

export interface ServerWatchOptions {
  network: NetworkConfig
  mode: Exclude<DhcpConfig['mode'], 'off'>
  db: Database
  log: FastifyBaseLogger
  now: () => Date
}

/** Remembers which other DHCP servers are on the network. */
export interface ServerWatch extends AsyncDisposable {
  /** One was named in a machine's request. */
  heard(address: Ipv4): void
}

const PROBE_MILLISECONDS = 10 * 60_000

/**
 * Asks for other DHCP servers now and every ten minutes, as a new machine would; between that it is told
 * of those that machines choose.
 */
export function openServerWatch(options: ServerWatchOptions): ServerWatch {
  const { network, mode, db, log, now } = options
  const stop = new AbortController()
  const pending = new Set<Promise<void>>()

  async function remember(address: Ipv4): Promise<void> {
    if (address === network.cidr.address) return
    const message = noticeOf(address, options)
    const notice = { code: 'other-dhcp-server', message, address }
    const isNew = await hearDhcpServer(db, { address, notice, now: now() })
    if (isNew) log[mode === 'server' ? 'warn' : 'info']({ address }, 'Heard another DHCP server')
  }

  async function probeOn(): Promise<void> {
    while (!stop.signal.aborted) {
      await probe().catch((err: unknown) =>
        log.warn({ err }, 'Could not look for other DHCP servers'),
      )
      await sleep(PROBE_MILLISECONDS, undefined, { signal: stop.signal }).catch(() => {})
    }
  }

  async function probe(): Promise<void> {
    const servers = await probeForServers(network.interface, stop.signal)
    for (const address of servers) await remember(address)
  }

  const probing = probeOn()
  return {
    heard(address) {
      const work = remember(address)
        .catch((err: unknown) => log.error({ err, address }, 'Failed to remember a DHCP server'))
        .finally(() => pending.delete(work))
      pending.add(work)
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all([probing, ...pending])
    },
  }
}

function noticeOf(address: Ipv4, { mode, network }: ServerWatchOptions): string {
  if (mode === 'proxy') return `A DHCP server was heard on ${network.interface}: ${address}`
  return `Another DHCP server was heard on ${network.interface}: ${address}; two of them give out each other's addresses, so stop one`
}
