import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { exec } from '#agent/exec.ts'

/** The slowest pipeline on a busy machine; past it something hangs. */
const MAX_SECONDS = 1800

export interface Contender {
  name: string
  /** A shell pipeline; a failure of any part fails it. */
  command: string
  env?: Record<string, string>
}

/** Wall-clock seconds of a shell pipeline, its output on the medium at the end. */
export async function measure({ name, command, env }: Contender): Promise<number> {
  await exec('sync', [], { timeoutSeconds: 300 })
  const start = performance.now()
  const child = spawn('bash', ['-o', 'pipefail', '-c', command], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: MAX_SECONDS * 1000,
  })
  let errors = ''
  child.stderr.on('data', (text) => (errors = (errors + String(text)).slice(-2000)))
  const [exitCode] = await once(child, 'close')
  if (exitCode !== 0) throw new Error(`"${name}" failed with exit code ${exitCode}: ${errors}`)
  return (performance.now() - start) / 1000
}

export interface Result {
  name: string
  /** The best of all rounds: what the machine's other work disturbed least. */
  seconds: number
}

/** All contenders in turn, several times over, so that each meets the same conditions. */
export async function measureAll(
  contenders: readonly Contender[],
  rounds: number,
  prepare: (contender: Contender) => Promise<void>,
): Promise<Result[]> {
  const best = new Map<string, number>()
  for (let round = 1; round <= rounds; round++) {
    for (const contender of contenders) {
      await prepare(contender)
      const seconds = await measure(contender)
      console.error(`  round ${round}: ${contender.name}: ${seconds.toFixed(1)} s`)
      best.set(contender.name, Math.min(seconds, best.get(contender.name) ?? Infinity))
    }
  }
  return contenders.map(({ name }) => ({ name, seconds: best.get(name)! }))
}

/** A table with each result as a multiple of the first, which is ours. */
export function formatResults(title: string, results: readonly Result[], bytes: number): string {
  const [ours] = results
  const width = Math.max(...results.map(({ name }) => name.length))
  const lines = results.map(({ name, seconds }) => {
    const rate = `${Math.round(bytes / seconds / 1e6)} MB/s`.padStart(10)
    const ratio = (seconds / ours!.seconds).toFixed(2).padStart(6)
    return `  ${name.padEnd(width)} ${seconds.toFixed(1).padStart(7)} s ${rate} ${ratio} ×`
  })
  return [title, ...lines].join('\n')
}
