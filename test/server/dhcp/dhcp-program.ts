/**
 * A DHCP server as a program, so that a test can run it inside a network namespace. Takes its
 * settings as JSON, prints `{ kind: 'ready' }`, then every event, and on a line of input how much memory it uses.
 */
import { once } from 'node:events'
import { createReadStream, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import pino from 'pino'
import { parseIpv4, parseIpv4Cidr, parseIpv4Range } from '#protocol/ipv4.ts'
import { parseMac } from '#protocol/mac.ts'
import { openDhcpServer } from '#server/dhcp/dhcp-server.ts'
import { createMemoryLeaseStore } from '#server/dhcp/memory-lease-store.ts'

export interface DhcpProgramSettings {
  mode: 'server' | 'proxy'
  interface: string
  /** Our address on the interface with its prefix. */
  address: string
  range?: string
  router?: string
  leaseSeconds?: number
  bootFiles?: string[]
  /** Other boot files than ours, by firmware. */
  preferred?: BootSettings['preferred']
  reservations?: { mac: string; address: string }[]
  /** The only machines that get an answer. */
  known?: string[]
  inherited?: { dhcp?: number; bootServer?: number }
  /** Also serves the boot files from this folder, by TFTP and HTTP, and prints what was fetched. */
  bootFolder?: string
}
import { memoryInUse } from '#test/support/memory-in-use.ts'
import type { BootSettings } from '#server/dhcp/settings.ts'
import { openTftpServer } from '#server/tftp/tftp-server.ts'

const settings = JSON.parse(process.argv[2]!) as DhcpProgramSettings
const network = parseIpv4Cidr(settings.address)
const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

const common = {
  interface: settings.interface,
  bootFiles: () => new Set(settings.bootFiles ?? ['undionly.kpxe', 'snponly.efi']),
  ...(settings.known && {
    knows: async (mac: string) => settings.known!.includes(mac),
  }),
  onEvent: print,
  onSeen: (machine: object) => print({ kind: 'seen', ...machine }),
  log: pino({ level: process.env['LOG_LEVEL'] ?? 'error' }, pino.destination(2)),
  inherited: settings.inherited,
}
const own = {
  address: network.address,
  boot: { serverUrl: `http://${network.address}:8080`, preferred: settings.preferred },
}
const reservations = (settings.reservations ?? []).map(({ mac, address }) => ({
  mac: parseMac(mac),
  address: parseIpv4(address),
}))

try {
  if (settings.mode === 'proxy') await openDhcpServer({ ...common, mode: 'proxy', settings: own })
  else
    await openDhcpServer({
      ...common,
      mode: 'server',
      settings: {
        ...own,
        network,
        pool: {
          range: parseIpv4Range(settings.range!),
          ...(settings.router && { router: parseIpv4(settings.router) }),
          nameServers: [parseIpv4('10.9.9.9')],
          leaseSeconds: settings.leaseSeconds ?? 3600,
        },
      },
      leases: createMemoryLeaseStore(),
      reservations: async () => reservations,
    })
  if (settings.bootFolder) await serveFiles(settings.bootFolder)
  print({ kind: 'ready' })
} catch (error) {
  print({ kind: 'failed', message: (error as Error).message })
  process.exit(1)
}

/** A script that ends iPXE stands for every script. */
async function serveFiles(folder: string): Promise<void> {
  const names = [...common.bootFiles()]
  const files = new Map(names.map((name) => [name, { path: join(folder, name) }]))
  const onSeen = (transfer: object) => print({ kind: 'tftp', ...transfer })
  await openTftpServer({ address: network.address, files: () => files, log: common.log, onSeen })
  const http = createServer((request, response) => {
    print({ kind: 'http', url: request.url })
    const file = files.get(basename(request.url!))
    if (!file) return response.end('#!ipxe\nsleep 60\n')
    response.setHeader('content-length', statSync(file.path).size)
    return request.method === 'HEAD' ? response.end() : createReadStream(file.path).pipe(response)
  })
  await once(http.listen(8080, network.address), 'listening')
}

createInterface(process.stdin)
  .on('line', async () => print({ kind: 'memory', bytes: await memoryInUse() }))
  .on('close', () => process.exit())
