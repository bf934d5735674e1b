import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import ipaddr from 'ipaddr.js'
import { run } from './command.ts'
import { isAlive } from './process.ts'

const DEFAULT_SUBNET = '10.203.0.0/24'
/** Where `ip netns` keeps the namespaces that have a name. */
const NAMESPACE_FOLDER = '/run/netns'
const NAMESPACE_PATTERN = /^stampede-(\d+)-[0-9a-f]{6}$/
const BRIDGE = 'lab0'
const KILL_TIMEOUT_MS = 5_000

export type SpawnInside = (command: string, args: string[], options?: SpawnOptions) => ChildProcess

/** A host of its own on the bridge: a namespace with one network card, `interface`. */
export type LabHost = {
  namespace: string
  interface: string
  spawn: SpawnInside
  /** Runs a command inside to its end and returns what it printed. */
  run: (command: string, args: string[]) => Promise<string>
}

export type LabNetwork = AsyncDisposable & {
  namespace: string
  /** Name of the bridge, which exists inside the namespace only. */
  bridge: string
  /** Our address on the bridge: the first of the subnet. */
  address: string
  /** The subnet in the notation `10.203.0.0/24`. */
  subnet: string
  spawn: SpawnInside
  run: (command: string, args: string[]) => Promise<string>
  /** Joins another host to the bridge. It has no address yet, unless one is given (`10.0.0.9/24`). */
  openHost: (options?: { address?: string }) => Promise<LabHost>
  /** Makes a tap on the bridge for a virtual machine. Returns its name inside the namespace. */
  openTap: () => Promise<string>
}

/** Namespaces of this process, so that an exit at any moment can delete them. */
const openNamespaces = new Set<string>()
/** What runs in them, or is about to. */
const spawnedIn = new Map<string, Set<ChildProcess>>()
let watchesExit = false

/**
 * A private bridge in a network namespace of its own: nothing on it reaches, or is reached from,
 * the networks of the host. Everything is deleted when it is disposed and when the process ends;
 * what a killed process left behind is deleted by the next one.
 *
 * Needs root, as all network namespaces do.
 */
export async function openLabNetwork(options: { subnet?: string } = {}): Promise<LabNetwork> {
  const subnet = options.subnet ?? DEFAULT_SUBNET
  const { address, prefix } = firstAddress(subnet)
  await removeLeftovers()
  watchExit()

  await using opened = new AsyncDisposableStack()
  const namespace = await addNamespace(opened)
  const ip = (...args: string[]) => run('ip', ['-n', namespace, ...args])
  // Without forward_delay 0 the bridge drops frames while it listens for spanning trees, which is
  // longer than a PXE ROM waits.
  await ip('link', 'add', BRIDGE, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0')
  await ip('address', 'add', `${address}/${prefix}`, 'brd', '+', 'dev', BRIDGE)
  await ip('link', 'set', BRIDGE, 'up')

  let ports = 0
  const resources = opened.move()
  return {
    namespace,
    bridge: BRIDGE,
    address,
    subnet,
    spawn: spawnIn(namespace),
    run: runIn(namespace),
    async openHost({ address: hostAddress } = {}) {
      const host = await addNamespace(resources)
      const port = `veth${ports++}`
      await ip('link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', host)
      await ip('link', 'set', port, 'master', BRIDGE, 'up')
      if (hostAddress)
        await run('ip', ['-n', host, 'address', 'add', hostAddress, 'brd', '+', 'dev', 'eth0'])
      await run('ip', ['-n', host, 'link', 'set', 'eth0', 'up'])
      return { namespace: host, interface: 'eth0', spawn: spawnIn(host), run: runIn(host) }
    },
    async openTap() {
      const tap = `tap${ports++}`
      await ip('tuntap', 'add', tap, 'mode', 'tap')
      await ip('link', 'set', tap, 'master', BRIDGE, 'up')
      return tap
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

function firstAddress(subnet: string): { address: string; prefix: number } {
  const [network, prefix] = ipaddr.IPv4.parseCIDR(subnet)
  const octets = network.toByteArray()
  octets[3]! += 1
  return { address: octets.join('.'), prefix }
}

async function addNamespace(opened: AsyncDisposableStack): Promise<string> {
  const namespace = `stampede-${process.pid}-${randomBytes(3).toString('hex')}`
  await run('ip', ['netns', 'add', namespace])
  openNamespaces.add(namespace)
  opened.defer(() => removeNamespace(namespace))
  opened.defer(() => endSpawned(namespace))
  await run('ip', ['-n', namespace, 'link', 'set', 'lo', 'up'])
  return namespace
}

/** `ip netns exec` replaces itself with the command, so the child's pid is the command's own. */
function spawnIn(namespace: string): SpawnInside {
  return (command, args, options = {}) => {
    const child = spawn('ip', ['netns', 'exec', namespace, command, ...args], options)
    const children = spawnedIn.get(namespace) ?? new Set()
    spawnedIn.set(namespace, children.add(child))
    child.once('exit', () => children.delete(child))
    return child
  }
}

function runIn(namespace: string): LabHost['run'] {
  return (command, args) => run('ip', ['netns', 'exec', namespace, command, ...args])
}

/** Ends what was spawned a moment ago and is only on its way in, where nobody would find it yet. */
async function endSpawned(namespace: string): Promise<void> {
  const children = [...(spawnedIn.get(namespace) ?? [])]
  spawnedIn.delete(namespace)
  const ends = children.map((child) => new Promise((resolve) => child.once('exit', resolve)))
  for (const child of children) {
    child.ref() // one that nothing else waited for is waited for now, or the program ends here
    child.kill('SIGKILL')
  }
  await Promise.race([Promise.all(ends), delay(KILL_TIMEOUT_MS, undefined, { ref: false })])
}

/** Ends what still runs inside, for a namespace lives as long as a process in it. */
async function removeNamespace(namespace: string): Promise<void> {
  const deadline = Date.now() + KILL_TIMEOUT_MS
  while (Date.now() < deadline) {
    const pids = (await run('ip', ['netns', 'pids', namespace])).split('\n').filter(Boolean)
    if (pids.length === 0) break
    for (const pid of pids) kill(Number(pid))
    await delay(50)
  }
  await run('ip', ['netns', 'del', namespace])
  openNamespaces.delete(namespace)
}

/** Deletes the namespaces of processes that are no more. */
async function removeLeftovers(): Promise<void> {
  const names = await readdir(NAMESPACE_FOLDER).catch(() => [])
  for (const name of names) {
    const pid = NAMESPACE_PATTERN.exec(name)?.[1]
    // Two processes may tidy up at once; then the loser finds nothing to delete.
    if (pid && !isAlive(Number(pid))) await removeNamespace(name).catch(() => undefined)
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself meanwhile.
  }
}

function watchExit(): void {
  if (watchesExit) return
  watchesExit = true
  process.on('exit', removeAllNow)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      // A program with a handler of its own disposes in its own order; else the signal ends us.
      if (process.listenerCount(signal) > 0) return
      removeAllNow()
      process.kill(process.pid, signal)
    })
  }
}

/** Nothing asynchronous runs in an exit handler. */
function removeAllNow(): void {
  for (const namespace of openNamespaces) {
    try {
      const pids = execFileSync('ip', ['netns', 'pids', namespace], { encoding: 'utf8' })
      for (const pid of pids.split('\n').filter(Boolean)) kill(Number(pid))
      execFileSync('ip', ['netns', 'del', namespace])
    } catch {
      // The next network that is opened tries again.
    }
  }
  openNamespaces.clear()
}
