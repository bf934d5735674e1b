import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type LabHost, type LabNetwork, openLabNetwork } from '#lab/network.ts'
import { decodeDhcp, type DhcpPacket, encodeDhcp } from '#protocol/dhcp/dhcp.ts'
import type { DhcpProgramSettings } from './dhcp-program.ts'

export const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'

const PROGRAM = fileURLToPath(new URL('dhcp-program.ts', import.meta.url))
const CLIENT_PROGRAM = fileURLToPath(new URL('client-program.ts', import.meta.url))
const DEFAULT_WAIT_SECONDS = 90

export interface Line {
  kind: string
  [field: string]: unknown
}

/** A program that prints JSON, one object a line. */
export interface Program extends AsyncDisposable {
  process: ChildProcess
  lines: Line[]
  /** The first line, from number `from` on, for which `matches` holds. Throws in time, with all lines. */
  waitFor: (matches: (line: Line) => boolean, from?: number, seconds?: number) => Promise<Line>
}

export function follow(process: ChildProcess): Program {
  const lines: Line[] = []
  let errors = ''
  let changed = Promise.withResolvers<void>()
  createInterface(process.stdout!).on('line', (text) => {
    lines.push(JSON.parse(text) as Line)
    changed.resolve()
    changed = Promise.withResolvers()
  })
  process.stderr!.on('data', (text) => (errors += text))
  return {
    process,
    lines,
    async waitFor(matches, from = 0, seconds = DEFAULT_WAIT_SECONDS) {
      const timeout = AbortSignal.timeout(seconds * 1000)
      const timedOut = once(timeout, 'abort')
      for (;;) {
        const line = lines.slice(from).find(matches)
        if (line) return line
        await Promise.race([changed.promise, timedOut])
        if (timeout.aborted)
          throw new Error(
            `Not seen within ${seconds} s: ${String(matches)}; ${JSON.stringify(lines)}; ${errors}`,
          )
      }
    },
    async [Symbol.asyncDispose]() {
      if (process.exitCode !== null || process.signalCode !== null) return
      process.kill('SIGKILL')
      await once(process, 'exit')
    },
  }
}

export interface DhcpLab extends AsyncDisposable {
  network: LabNetwork
  /** The DHCP server, on the bridge at 10.77.0.1/24. */
  server: Program
  folder: string
}

/** Our DHCP server as a program on a bridge of its own. */
export async function openDhcpLab(settings: Partial<DhcpProgramSettings> = {}): Promise<DhcpLab> {
  await using opened = new AsyncDisposableStack()
  const network = opened.use(await openLabNetwork({ subnet: '10.77.0.0/24' }))
  const folder = await mkdtemp(join(tmpdir(), 'stampede-dhcp-'))
  opened.defer(() => rm(folder, { recursive: true }))
  const server = opened.use(await startServer(network, settings))
  await server.waitFor(({ kind }) => kind === 'ready')
  const resources = opened.move()
  return { network, server, folder, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

export async function startServer(
  network: LabNetwork,
  settings: Partial<DhcpProgramSettings>,
): Promise<Program> {
  const all: DhcpProgramSettings = {
    mode: 'server',
    interface: network.bridge,
    address: '10.77.0.1/24',
    range: '10.77.0.10-10.77.0.19',
    ...settings,
  }
  const args = [PROGRAM, JSON.stringify(all)]
  return follow(network.spawn(process.execPath, args, { stdio: 'pipe' }))
}

/** A script for udhcpc or dhclient that sets the address and prints what it got, and nothing else. */
export async function writeClientScript(folder: string): Promise<string> {
  const path = join(folder, 'client-script')
  await writeFile(
    path,
    `#!/bin/sh
event=\${reason:-$1} address=\${new_ip_address:-$ip} router=\${new_routers:-$router} dns=\${new_domain_name_servers:-$dns}
case $event in
BOUND|RENEW|REBIND|REBOOT|bound|renew) ip address replace $address/24 dev $interface ;;
RELEASE|STOP|EXPIRE|FAIL|deconfig|PREINIT) ip address flush dev $interface; ip link set $interface up ;;
esac
echo "{\\"kind\\":\\"$event\\",\\"address\\":\\"$address\\",\\"router\\":\\"$router\\",\\"dns\\":\\"$dns\\"}"
`,
  )
  await chmod(path, 0o755)
  return path
}

export interface Answer {
  packet: DhcpPacket
  /** Who sent it. */
  address: string
  port: number
}

/** Sends packets from a host on its card and gives the answers: one, unless told how many. */
export async function exchange(
  host: LabHost,
  packets: DhcpPacket[],
  options: {
    to?: string
    port?: number
    fromPort?: number
    answers?: number
    interface?: string
  } = {},
): Promise<Answer[]> {
  const hex = packets.map((packet) => Buffer.from(encodeDhcp(packet)).toString('hex'))
  const settings = { interface: host.interface, packets: hex, ...options }
  const output = await host.run(process.execPath, [CLIENT_PROGRAM, JSON.stringify(settings)])
  return output
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const { hex: bytes, ...peer } = JSON.parse(line) as { hex: string } & Answer
      return { ...peer, packet: decodeDhcp(Buffer.from(bytes, 'hex')) }
    })
}

/** A real DHCP server on the bridge, at 10.77.0.5. */
export async function startDnsmasq(host: LabHost, folder: string): Promise<void> {
  const child = host.spawn(
    'dnsmasq',
    [
      '--keep-in-foreground',
      '--conf-file=/dev/null',
      '--port=0',
      '--interface=eth0',
      '--dhcp-range=10.77.0.150,10.77.0.160',
      '--dhcp-authoritative',
      `--dhcp-leasefile=${join(folder, 'dnsmasq.leases')}`,
      '--user=root',
      '--pid-file=',
      '--log-facility=-',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  for await (const text of child.stderr!) if (String(text).includes('IP range')) return
}
