import type { AgentRun, Result } from '#protocol/run/agent.ts'
import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import type { Receipt } from '#protocol/run/run.ts'
import type { ChunkClient } from './chunks/chunk-client.ts'
import { exec } from './exec.ts'
import { CancelledError, type StepReporter } from './client/reporter.ts'
import type { DisklessContext, ReceiptFacts, StepFunction, StepOutcome } from './steps/step.ts'
import { AGENT_VERSION } from './version.ts'

export type Steps = {
  /** Finds the disk that the others work on. */
  checkMachine: (context: DisklessContext) => Promise<Disk>
  /** Need no disk. */
  diskless: Record<string, (context: DisklessContext) => Promise<StepOutcome>>
  others: Record<string, StepFunction>
}

export interface RunStepsOptions {
  run: AgentRun
  inventory: Inventory
  chunks: ChunkClient
  steps: Steps
  reporter: StepReporter
  signal: AbortSignal
  log: (text: string) => void
}

/** Does a run's steps in order and says how it ended; it never throws for what a step did. */
export async function runSteps(options: RunStepsOptions): Promise<Result> {
  const { run, signal, log } = options
  const draft = createReceiptDraft()
  const context = createContext(options, draft)
  const unknown = run.steps.find((name) => !isKnown(name, options.steps))
  if (unknown !== undefined) {
    return {
      state: 'failed',
      error: `This agent does not know the step "${unknown}"; its boot files may be too old`,
    }
  }
  let disk: Disk | undefined
  for (const name of run.steps) {
    options.reporter.started(name)
    log(`Step ${name}`)
    try {
      signal.throwIfAborted()
      const outcome = await runStep(name, options.steps, context, disk)
      disk = outcome.disk ?? disk
      options.reporter.ended(name, outcome)
      if (outcome.message !== undefined) log(`${name}: ${outcome.message}`)
    } catch (err) {
      const error = errorText(signal.aborted ? signal.reason : err)
      options.reporter.ended(name, { state: 'failed', error })
      return failure(name, error, signal, draft.finish(disk))
    }
  }
  return { state: 'succeeded', receipt: draft.finish(disk) }
}

function isKnown(name: string, steps: Steps): boolean {
  return name === 'check-machine' || name in steps.diskless || name in steps.others
}

async function runStep(
  name: string,
  steps: Steps,
  context: DisklessContext,
  disk: Disk | undefined,
): Promise<StepOutcome & { disk?: Disk }> {
  if (name === 'check-machine')
    return { state: 'succeeded', disk: await steps.checkMachine(context) }
  const diskless = steps.diskless[name]
  if (diskless) return await diskless(context)
  if (!disk) throw new Error(`Step "${name}" comes before "check-machine", which finds its disk`)
  return await steps.others[name]!({ ...context, disk })
}

/** The one in-between outcome that there is: the image is whole, and a step after it failed. */
function failure(step: string, error: string, signal: AbortSignal, receipt: Receipt): Result {
  if (signal.reason instanceof CancelledError)
    return { state: 'cancelled', error, ...(receipt.imageVerified && { receipt }) }
  // That a disk differs is what a verify was to find out.
  if (receipt.comparison) return { state: 'failed', error, receipt }
  if (!receipt.imageVerified) return { state: 'failed', error: `Step "${step}" failed: ${error}` }
  return {
    state: 'failed',
    error:
      `Step "${step}" failed after the image had been written and verified: ${error}. ` +
      `The disk boots the image as it was captured`,
    receipt,
  }
}

function errorText(err: unknown): string {
  // Tidying up failed, too: what happened first is what people need to know.
  if (err instanceof SuppressedError)
    return `${errorText(err.suppressed)}; and then ${errorText(err.error)}`
  return err instanceof Error ? err.message : String(err)
}

function createReceiptDraft() {
  const startedAt = new Date().toISOString()
  const warnings: string[] = []
  const facts: ReceiptFacts = {}
  return {
    warn: (text: string) => void warnings.push(text),
    add: (more: ReceiptFacts) => void Object.assign(facts, more),
    finish: (disk: Disk | undefined): Receipt => ({
      imageVerified: false,
      ...(disk && { disk: identity(disk) }),
      ...facts,
      warnings,
      agentVersion: AGENT_VERSION,
      startedAt,
      finishedAt: new Date().toISOString(),
    }),
  }
}

function identity({ path, serial, wwn, model, sizeBytes }: Disk): NonNullable<Receipt['disk']> {
  return {
    path,
    ...(serial !== undefined && { serial }),
    ...(wwn !== undefined && { wwn }),
    ...(model !== undefined && { model }),
    sizeBytes,
  }
}

function createContext(
  { run, inventory, chunks, signal, log, reporter }: RunStepsOptions,
  draft: ReturnType<typeof createReceiptDraft>,
): DisklessContext {
  return {
    run,
    inventory,
    chunks,
    signal,
    exec: (command, args, execOptions) => exec(command, args, { signal, ...execOptions }),
    log,
    warn(text) {
      draft.warn(text)
      log(`Warning: ${text}`)
    },
    progress: (bytesDone, bytesTotal) => reporter.progress(bytesDone, bytesTotal),
    receipt: (facts) => draft.add(facts),
  }
}
