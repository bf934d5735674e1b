import { appendFile, mkdir, readFile } from 'node:fs/promises'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { exec } from '#agent/exec.ts'
import type { Measurement } from './measurement.ts'
import type { Verdict } from './wanted.ts'

export const RESULTS_FILE = join(import.meta.dirname, 'results/results.jsonl')

/** What figures depend on. Nothing of it says whose machine it is. */
export interface MachineDescription {
  processor: string
  cores: number
  memoryBytes: number
  kernel: string
  /** What the folder for temporary files lies on. */
  disk: string
  node: string
}

/** One run of the bench: a line of the file. */
export interface BenchRun {
  at: string
  /** With `+` behind it: and changes that were not committed. */
  commit: string
  machine: MachineDescription
  settings: Record<string, unknown>
  measurements: Measurement[]
  wanted: { what: string; reached: number; bound: string; value: number; isMet: boolean }[]
}

export async function describeMachine(folder: string): Promise<MachineDescription> {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    disk: await describeDisk(folder),
    node: process.version,
  }
}

async function describeDisk(folder: string): Promise<string> {
  const { stdout } = await exec('findmnt', ['-n', '-o', 'FSTYPE,SOURCE', '--target', folder])
  const [fileSystem = '', source = ''] = stdout.trim().split(/\s+/)
  const listing = ['-d', '-n', '-o', 'MODEL,ROTA', source]
  const { stdout: model } = await exec('lsblk', listing, { allowExitCodes: [1, 32, 64] })
  return [fileSystem, source, model.trim().replace(/\s+/g, ' ')].filter(Boolean).join(' ')
}

export async function currentCommit(): Promise<string> {
  const cwd = import.meta.dirname
  const { stdout: commit } = await exec('git', ['rev-parse', '--short', 'HEAD'], { cwd })
  const { stdout: changes } = await exec('git', ['status', '--porcelain', '-uno'], { cwd })
  return commit.trim() + (changes.trim() === '' ? '' : '+')
}

export function toWanted(verdicts: readonly Verdict[]): BenchRun['wanted'] {
  return verdicts.map(({ wanted: { what, bound, value }, reached, isMet }) => ({
    what,
    reached,
    bound,
    value,
    isMet,
  }))
}

export async function appendRun(run: BenchRun, file = RESULTS_FILE): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await appendFile(file, `${JSON.stringify(run)}\n`)
}

/** Oldest first; none if nothing was ever measured. */
export async function readRuns(file = RESULTS_FILE): Promise<BenchRun[]> {
  const text = await readFile(file, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return ''
    throw err
  })
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as BenchRun)
}

/** A run may be of some sections only: of each section the newest, newest runs first. */
export function newestOfEach(runs: readonly BenchRun[]): BenchRun[] {
  const known = new Set<string>()
  return runs.toReversed().flatMap((run) => {
    const measurements = run.measurements.filter(({ key }) => !known.has(sectionOf(key)))
    for (const { key } of measurements) known.add(sectionOf(key))
    return measurements.length === 0 ? [] : [{ ...run, measurements }]
  })
}

export function sectionOf(key: string): string {
  return key.slice(0, key.indexOf('/'))
}
