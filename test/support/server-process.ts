import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cleanEnvironment } from './clean-environment.ts'
import { putEmbeddedDatabase } from './database.ts'
import { freePort } from './free-port.ts'

const MAIN = resolve(import.meta.dirname, '../../server/main.ts')
const START_SECONDS = 300
const STOP_SECONDS = 60

/** The server as a process of its own, which can be killed and started again. */
export interface ServerProcess extends AsyncDisposable {
  readonly url: string
  readonly token: string
  readonly dataFolder: string
  /** Of the process that runs now. */
  pid(): number
  start(): Promise<void>
  /** As a power cut ends it. */
  kill(): Promise<void>
}

export async function openServerProcess(
  options: { dataFolder?: string; env?: Record<string, string> } = {},
): Promise<ServerProcess> {
  await using opened = new AsyncDisposableStack()
  const dataFolder = options.dataFolder ?? (await mkdtemp(join(tmpdir(), 'stampede-server-')))
  if (options.dataFolder === undefined)
    opened.defer(() => rm(dataFolder, { recursive: true, force: true }))
  // Making a database takes seconds; a folder of one's own is taken as it is.
  if (options.dataFolder === undefined && options.env?.DATABASE_URL === undefined)
    await putEmbeddedDatabase(dataFolder)
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const token = 'token-of-the-tests'
  const env = cleanEnvironment({
    STAMPEDE_DATA: dataFolder,
    STAMPEDE_HTTP: `127.0.0.1:${port}`,
    STAMPEDE_URL: url,
    STAMPEDE_DHCP: 'off',
    STAMPEDE_ADMIN_TOKEN: token,
    ...options.env,
  })
  let child: ChildProcess | undefined
  let output = ''

  async function start(): Promise<void> {
    child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (text) => (output = (output + String(text)).slice(-4000)))
    const deadline = Date.now() + START_SECONDS * 1000
    while (!(await isHealthy(url))) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`The server did not start: ${output}`)
      await sleep(100)
    }
  }

  async function end(signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child?.kill('SIGKILL'), STOP_SECONDS * 1000)
    await exited
    clearTimeout(timer)
  }

  opened.defer(() => end('SIGTERM'))
  await start()
  const resources = opened.move()
  return {
    url,
    token,
    dataFolder,
    pid: () => child!.pid!,
    start,
    kill: () => end('SIGKILL'),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(5000) })).ok
  } catch {
    return false
  }
}
