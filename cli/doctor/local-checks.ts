import { createSocket } from 'node:dgram'
import { access, constants, readdir, statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { dirname, resolve } from 'node:path'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { plural } from '../text/text.ts'
import type { Finding } from './finding.ts'

/** What a server on this computer would need, while none runs. */

/** DHCP, PXE beside another DHCP server, TFTP. */
const UDP_PORTS = [
  { port: 67, use: 'DHCP' },
  { port: 4011, use: 'PXE beside another DHCP server' },
  { port: 69, use: 'TFTP' },
]
const DEFAULT_HTTP_PORT = 8080
const IPXE_FOLDER = '/usr/lib/ipxe'
const LEAST_FREE_BYTES = 5e9

export async function localChecks(env: Record<string, string | undefined>): Promise<Finding[]> {
  return [
    ...(await Promise.all(UDP_PORTS.map(checkUdp))),
    await checkHttp(env),
    checkInterfaces(env),
    await checkBootFiles(),
    await checkDataFolder(env.STAMPEDE_DATA || 'data'),
  ]
}

async function checkUdp({ port, use }: { port: number; use: string }): Promise<Finding> {
  const socket = createSocket({ type: 'udp4' })
  const name = `UDP port ${port}`
  try {
    await new Promise<void>((done, fail) => {
      socket.once('error', fail)
      socket.bind(port, () => done())
    })
    return { name, ok: true, message: `It is free, for ${use}` }
  } catch (err) {
    return { name, ...explainPort(err, `ss -lunp sport = :${port}`) }
  } finally {
    socket.close()
  }
}

async function checkHttp(env: Record<string, string | undefined>): Promise<Finding> {
  const port = Number(/:(\d+)$/.exec(env.STAMPEDE_HTTP ?? '')?.[1] ?? DEFAULT_HTTP_PORT)
  const name = `TCP port ${port}`
  const server = createServer()
  try {
    await new Promise<void>((done, fail) => {
      server.once('error', fail)
      server.listen(port, () => done())
    })
    return { name, ok: true, message: 'It is free, for HTTP' }
  } catch (err) {
    return { name, ...explainPort(err, `ss -ltnp sport = :${port}`) }
  } finally {
    server.close()
  }
}

function explainPort(err: unknown, command: string): Omit<Finding, 'name'> {
  const { code, message } = err as NodeJS.ErrnoException
  if (code === 'EADDRINUSE')
    return { ok: false, message: `Another program has it; "${command}" tells which` }
  if (code === 'EACCES')
    return { ok: false, message: 'It is for root only; run the server as root or with systemd' }
  return { ok: false, message }
}

function checkInterfaces(env: Record<string, string | undefined>): Finding {
  const name = 'interfaces'
  const found = Object.entries(networkInterfaces()).flatMap(([each, addresses = []]) =>
    addresses
      .filter(({ family, internal }) => family === 'IPv4' && !internal)
      .map(({ cidr }) => ({ name: each, cidr })),
  )
  const list = found.map((each) => `${each.name} (${each.cidr})`).join(', ')
  const wanted = env.STAMPEDE_INTERFACE
  if (wanted && !found.some((each) => each.name === wanted))
    return {
      name,
      ok: false,
      message: `STAMPEDE_INTERFACE is "${wanted}" but there are ${list || 'none'}`,
    }
  if (found.length === 0) return { name, ok: false, message: 'None has an IPv4 address' }
  const isClear = found.length === 1 || Boolean(wanted)
  const hint = isClear ? '' : '; name the one of the machines in STAMPEDE_INTERFACE'
  return {
    name,
    ok: true,
    message: `With an address there ${found.length === 1 ? 'is' : 'are'} ${list}${hint}`,
  }
}

async function checkBootFiles(): Promise<Finding> {
  const files = await readdir(IPXE_FOLDER).catch((): string[] => [])
  const loaders = files.filter((file) => /\.(kpxe|efi|pxe)$/.test(file))
  return loaders.length > 0
    ? {
        name: 'boot files',
        ok: true,
        message: `${plural(loaders.length, 'iPXE loader')} in ${IPXE_FOLDER}`,
      }
    : {
        name: 'boot files',
        ok: false,
        message: `No iPXE in ${IPXE_FOLDER}; install the Debian package "ipxe"`,
      }
}

async function checkDataFolder(folder: string): Promise<Finding> {
  const name = 'data folder'
  const path = resolve(folder)
  // Its parent, where it is yet to be made.
  for (const each of [path, dirname(path)]) {
    try {
      await access(each, constants.W_OK)
      const { bavail, bsize } = await statfs(each)
      const free = bavail * bsize
      const text = `${path} has ${formatBytes(free)} free`
      return free < LEAST_FREE_BYTES
        ? { name, ok: false, message: `${text}, which is little for images` }
        : { name, ok: true, message: text }
    } catch {
      // Tried next, or told below.
    }
  }
  return {
    name,
    ok: false,
    message: `${path} cannot be written to; set STAMPEDE_DATA or run as its owner`,
  }
}
