import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, open, readFile } from 'node:fs/promises'
import path from 'node:path'
import { createApiClient } from './api-client.ts'
import type { ApiClient } from './api-client.ts'
import { openForward } from './forward.ts'
import type { LabNetwork } from './network.ts'

const MAIN = path.resolve(import.meta.dirname, '..', 'server', 'main.ts')
const HTTP_PORT = 8080
/** The embedded database alone takes several seconds to make on a small machine. */
const START_DEADLINE_MS = 90_000
const STOP_DEADLINE_MS = 20_000
const POLL_MS = 250
const LOG_TAIL_LINES = 30

export type LabServer = AsyncDisposable & {
  /** Reaches it from this host; machines use its address on the bridge. */
  api: ApiClient
  /** Where machines, and people on the same network, reach it. */
  url: string
  /** The file that holds all it printed. */
  logFile: string
  logTail: () => Promise<string>
  /** Ends it at once, as a power cut would. */
  kill: () => Promise<void>
  /** Starts it again on the same data. */
  start: () => Promise<void>
}

export type LabServerOptions = {
  network: LabNetwork
  /** Holds the data folder and the log. */
  folder: string
  dhcp?: 'server' | 'proxy'
  env?: Record<string, string>
}

/** Starts our server on the lab's bridge, with its embedded database. */
export async function openLabServer(options: LabServerOptions): Promise<LabServer> {
  const { network, folder } = options
  await mkdir(folder, { recursive: true })
  const token = randomBytes(16).toString('hex')
  const logFile = path.join(folder, 'server.log')
  const port = await openForward(network, HTTP_PORT)
  const api = createApiClient(`http://127.0.0.1:${port}`, token)
  let child: ChildProcess | undefined

  async function logTail(): Promise<string> {
    const text = await readFile(logFile, 'utf8').catch(() => '')
    return text.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n')
  }

  /** HTTP answers before it is known whether DHCP and TFTP can be served. */
  async function isReady(logStart: number): Promise<boolean> {
    const log = await readFile(logFile)
    return log.subarray(logStart).includes('Stampede is ready')
  }

  async function start(): Promise<void> {
    await using log = await open(logFile, 'a')
    const { size: logStart } = await log.stat()
    child = network.spawn(process.execPath, [MAIN], {
      env: { ...withoutSettings(process.env), ...environment(options, token) },
      stdio: ['ignore', log.fd, log.fd],
    })
    await once(child, 'spawn')
    const deadline = Date.now() + START_DEADLINE_MS
    while (!(await isReady(logStart))) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`The server did not start; its log ends:\n${await logTail()}`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  async function stop(signal: NodeJS.Signals): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    // One that does not stop by itself must not stop the lab from ending.
    const timer = setTimeout(() => child?.kill('SIGKILL'), STOP_DEADLINE_MS)
    await ended
    clearTimeout(timer)
  }

  await start()
  return {
    api,
    url: serverUrl(network),
    logFile,
    logTail,
    start,
    kill: () => stop('SIGKILL'),
    [Symbol.asyncDispose]: () => stop('SIGTERM'),
  }
}

function serverUrl({ address }: LabNetwork): string {
  return `http://${address}:${HTTP_PORT}`
}

function environment(options: LabServerOptions, token: string): Record<string, string> {
  const { network, folder, dhcp = 'server' } = options
  const prefix = network.address.replace(/\d+$/, '')
  return {
    STAMPEDE_DATA: path.join(folder, 'data'),
    STAMPEDE_HTTP: `0.0.0.0:${HTTP_PORT}`,
    STAMPEDE_URL: serverUrl(network),
    STAMPEDE_INTERFACE: network.bridge,
    STAMPEDE_DHCP: dhcp,
    STAMPEDE_ADMIN_TOKEN: token,
    ...(dhcp === 'server' ? { STAMPEDE_DHCP_RANGE: `${prefix}100-${prefix}199` } : {}),
    ...options.env,
  }
}

/** What the operator has set for a server of their own is not meant for the lab's. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const isSetting = (name: string) => name.startsWith('STAMPEDE_') || name === 'DATABASE_URL'
  return Object.fromEntries(Object.entries(env).filter(([name]) => !isSetting(name)))
}
