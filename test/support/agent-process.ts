import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'

const MAIN = resolve(import.meta.dirname, '../../agent/main.ts')
const DEADLINE_MILLISECONDS = 300_000

export interface AgentProcess {
  child: ChildProcess
  ended: Promise<{ exitCode: number | null; stdout: string; stderr: string }>
}

export interface AgentProcessOptions {
  serverUrl: string
  token: string
  disk: string
  image: string
  /** The agent, bundled or not. */
  program?: string
  more?: readonly string[]
  env?: Record<string, string>
}

/** `stampede-agent`, as on any Linux. */
export function startAgentProcess(
  command: 'capture' | 'deploy',
  { serverUrl, token, disk, image, program = MAIN, more = [], env = {} }: AgentProcessOptions,
): AgentProcess {
  const common = ['--disk', disk, '--server', serverUrl, '--image', image]
  const yes = command === 'deploy' ? ['--yes', '--force'] : []
  const child = spawn(process.execPath, [program, command, ...common, ...yes, ...more], {
    env: { ...process.env, STAMPEDE_TOKEN: token, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: DEADLINE_MILLISECONDS,
    killSignal: 'SIGKILL',
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (text) => (output.stdout += String(text)))
  child.stderr.on('data', (text) => (output.stderr += String(text)))
  const ended = once(child, 'close').then(([exitCode]) => ({ exitCode, ...output }))
  return { child, ended }
}
