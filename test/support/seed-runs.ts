import { randomUUIDv7 } from 'node:crypto'
import type { Receipt, RunState, Step, Workflow } from '#protocol/run/run.ts'
import { STEPS_OF_WORKFLOW } from '#protocol/run/run.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { runLogs, runs } from '#server/db/schema.ts'
import { ago, fakeHash, GIB, type SeedMachine } from './seed-machines.ts'

/** Runs as they might have gone. */

export type RunValues = typeof runs.$inferInsert
export type LogValues = typeof runLogs.$inferInsert

const FAILURE =
  'Image "windows-2022" is 21.5 GB but disk "S4EV" holds 8.0 GB; choose another disk or image'
/** Where the three failures of the fleet happened. */
const FAILURES: { state: RunState; step: number; error: string }[] = [
  { state: 'failed', step: 0, error: FAILURE },
  {
    state: 'failed',
    step: 1,
    error: 'Read back other bytes than were written, from 1,073,741,824 on; the disk is damaged',
  },
  { state: 'timed-out', step: 1, error: 'The agent did not report for 10 minutes' },
]

/** What a machine went through, oldest first: ids must rise with time. */
export function seedRuns(machine: SeedMachine, now: Date): RunValues[] {
  const { state, number } = machine
  if (machine.workflow === undefined) return []
  const earlier =
    number % 3 === 0 ? [seedRun(machine, 'cancelled', 86_400 * 3 + number * 61, now)] : []
  switch (state) {
    case 'queued':
    case 'booting':
    case 'running':
      return [...earlier, seedRun(machine, state, state === 'queued' ? 900 : 240, now)]
    case 'failed': {
      const failure = FAILURES[number % 3]!
      return [...earlier, seedRun(machine, failure.state, 7200 + number * 60, now)]
    }
    case 'deployed':
      return [...earlier, seedRun(machine, 'succeeded', 3600 + number * 300, now)]
    case 'discovered':
    case 'ready':
      return earlier
  }
}

function seedRun(machine: SeedMachine, state: RunState, secondsAgo: number, now: Date): RunValues {
  const { mac, number } = machine
  const workflow: Workflow = machine.workflow ?? 'deploy'
  const createdAt = ago(now, secondsAgo)
  const began = state !== 'queued' && state !== 'booting' && state !== 'cancelled'
  const startedAt = began ? new Date(createdAt.getTime() + 70_000) : null
  const isFinal = !['queued', 'booting', 'running'].includes(state)
  const failure = FAILURES[number % 3]!
  const failed = state === 'failed' || state === 'timed-out'
  const finishedAt = isFinal ? new Date(createdAt.getTime() + (failed ? 95_000 : 260_000)) : null
  return {
    id: randomUUIDv7(),
    mac,
    workflow,
    state,
    attempts: startedAt ? 1 : 0,
    image: workflow === 'capture' ? `capture-of-${machine.name}` : machine.image,
    imageDigest: workflow === 'deploy' ? digestOf(machine.image!) : null,
    options: { grow: true, after: 'reboot', zeroUnused: false, identity: 'reset', force: false },
    steps: seedSteps(workflow, state, failure, number, startedAt),
    claimedBy: startedAt ? 'agent' : null,
    error: failed ? failure.error : null,
    receipt: state === 'succeeded' ? seedReceipt(machine, startedAt!, finishedAt!) : null,
    createdAt,
    bootedAt: state === 'queued' ? null : createdAt,
    startedAt,
    lastReportAt: startedAt && now,
    attemptAt: startedAt,
    finishedAt,
  }
}

export function digestOf(image: string) {
  return parseSha256(fakeHash(`image ${image}`))
}

function seedSteps(
  workflow: Workflow,
  state: RunState,
  failure: (typeof FAILURES)[number],
  number: number,
  startedAt: Date | null,
): Step[] {
  const names = STEPS_OF_WORKFLOW[workflow]
  const current =
    state === 'succeeded' ? names.length : state === 'running' ? 1 : startedAt ? failure.step : -1
  return names.map((name, index) => {
    const bytesTotal = name === 'write-image' || name === 'read-image' ? 10 * GIB : 0
    const isDone = index < current
    const isCurrent = index === current
    const failed = isCurrent && state !== 'running'
    const bytesDone = isDone ? bytesTotal : isCurrent ? bytesTotal * (0.1 + (number % 7) / 10) : 0
    return {
      name,
      state: isDone ? 'succeeded' : failed ? 'failed' : isCurrent ? 'running' : 'pending',
      bytesDone: Math.floor(bytesDone),
      bytesTotal,
      bytesPerSecond: isCurrent && state === 'running' ? 90e6 + (number % 9) * 12e6 : 0,
      ...(failed && { error: failure.error }),
      ...((isDone || isCurrent) &&
        startedAt && {
          startedAt: new Date(startedAt.getTime() + index * 4000).toISOString(),
        }),
      ...(isDone &&
        startedAt && {
          finishedAt: new Date(startedAt.getTime() + index * 4000 + 3500).toISOString(),
        }),
    }
  })
}

function seedReceipt(machine: SeedMachine, startedAt: Date, finishedAt: Date): Receipt {
  const disk = machine.inventory!.disks[0]!
  return {
    imageName: machine.image!,
    imageDigest: digestOf(machine.image!),
    disk: {
      path: disk.path,
      sizeBytes: disk.sizeBytes,
      ...(disk.serial && { serial: disk.serial }),
      ...(disk.model && { model: disk.model }),
      ...(disk.wwn && { wwn: disk.wwn }),
    },
    imageVerified: true,
    bytesFetched: 112_602_624,
    bytesWritten: 221_249_536,
    bytesZeroed: 8_388_608,
    bytesSkipped: 2_999_975_936,
    bytesVerified: 3_221_225_472,
    bytesUnused: 6_442_450_944,
    warnings: [],
    agentVersion: '0.1.0',
    durations: { compareSeconds: 6.2, writeSeconds: 1.4, readBackSeconds: 0.2 },
    signature: {
      keyId: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
      algorithm: 'ed25519',
      value: 'of a seeded run, so it fits no key',
    },
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt.toISOString(),
  }
}

export function seedLog(run: RunValues): LogValues[] {
  if (!run.startedAt) return []
  const texts = [
    'Agent 0.1.0 on Linux 6.1.0-32-amd64',
    'Checking the machine: SMBIOS and disks are as recorded',
    `Target is /dev/sda, ${run.workflow === 'capture' ? 'which is set read-only' : 'nothing on it is mounted'}`,
    'Zeroed the first and last 4 MiB, flushed',
    'Reading the manifest: 10,240 chunks, 3,072 with content',
    ...Array.from(
      { length: 24 },
      (_, index) => `Chunks ${index * 128} to ${index * 128 + 127} verified`,
    ),
    ...(run.error
      ? [run.error]
      : run.state === 'succeeded'
        ? ['Read back all that was written: equal']
        : []),
  ]
  return texts.map((text, lineNumber) => ({
    runId: run.id,
    attempt: 1,
    lineNumber,
    at: new Date(run.startedAt!.getTime() + lineNumber * 900),
    text,
  }))
}
