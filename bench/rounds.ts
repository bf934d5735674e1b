import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { exec } from '#agent/exec.ts'
import { formatValue, type Measurement, type Unit } from './measurement.ts'

/** The slowest pipeline on a busy machine; past it something hangs. */
const MAX_SECONDS = 1800
const SYNC_SECONDS = 300
const MAX_ERROR_CHARACTERS = 2000

const stop = new AbortController()
/** Whoever stops the bench wants no loop devices and servers left behind. */
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => stop.abort(new Error(`Stopped by ${signal}`)))

/** Waits, unless the bench is stopped. */
export async function pause(milliseconds: number): Promise<void> {
  await sleep(milliseconds, undefined, { signal: stop.signal })
}

export interface Contender {
  key: string
  name: string
  unit: Unit
  /** Of one round. */
  measure(): Promise<number>
}

/**
 * All contenders in turn, several times over, so that each meets the same conditions; every second round
 * backwards. A machine may be a virtual one whose host remembers what was read: whoever comes second there
 * reads faster, and dropping our own caches does not help.
 */
export async function measureAll(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Measurement[]> {
  const measurements = contenders.map(({ key, name, unit }): Measurement => {
    return { key, name, unit, rounds: [] }
  })
  for (let round = 1; round <= rounds; round++) {
    const order = [...contenders.entries()]
    for (const [index, contender] of round % 2 === 0 ? order.toReversed() : order) {
      stop.signal.throwIfAborted()
      const value = await contender.measure()
      console.error(`  round ${round}: ${contender.name}: ${formatValue(value, contender.unit)}`)
      measurements[index]!.rounds.push(value)
    }
  }
  return measurements
}

export interface Pipeline {
  /** For bash; a failure of any part fails it. */
  command: string
  env?: Record<string, string>
}

/** Wall-clock seconds of a pipeline, its output on the medium at the end, and what it printed. */
export async function timePipeline({ command, env }: Pipeline) {
  stop.signal.throwIfAborted()
  const start = performance.now()
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, to be ended as a whole
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (text) => (stdout += String(text)))
  child.stderr.on('data', (text) => (stderr = (stderr + String(text)).slice(-MAX_ERROR_CHARACTERS)))
  const limit = AbortSignal.any([stop.signal, AbortSignal.timeout(MAX_SECONDS * 1000)])
  const end = () => void process.kill(-child.pid!)
  limit.addEventListener('abort', end)
  const [exitCode] = await once(child, 'close')
  limit.removeEventListener('abort', end)
  stop.signal.throwIfAborted()
  if (exitCode !== 0) throw new Error(`"${command}" failed with exit code ${exitCode}: ${stderr}`)
  return { seconds: (performance.now() - start) / 1000, stdout }
}

/** Nobody finds in memory what another one read or wrote (kernel: admin-guide/sysctl/vm.rst). */
export async function dropCaches(): Promise<void> {
  await exec('sync', [], { timeoutSeconds: SYNC_SECONDS })
  await writeFile('/proc/sys/vm/drop_caches', '3')
}
