import type { AgentRun } from '#protocol/run/agent.ts'
import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import type { Receipt } from '#protocol/run/run.ts'
import type { Exec } from '../exec.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'

/**
 * What a step is given. A step throws to fail: the message goes to the run, the screen and the
 * log, so it is a finished sentence.
 */
export interface StepContext {
  readonly run: AgentRun
  readonly inventory: Inventory
  /** The disk that the run works on. Use `partitionPath` for its partitions' nodes. */
  readonly disk: Disk
  /** Where manifests and chunks come from and go to. */
  readonly chunks: ChunkClient
  /** Aborted when the run is cancelled: long loops and waits must end within seconds. */
  readonly signal: AbortSignal
  /** Runs a program, ended when the run is cancelled. */
  readonly exec: Exec
  /** One line to the screen and to the run's log on the server. */
  log(text: string): void
  /** A line that also appears in the receipt: did not stop the run, but the operator should know. */
  warn(text: string): void
  /** May be called as often as one likes: reports go out at most once a second. */
  progress(bytesDone: number, bytesTotal: number): void
  /** Adds facts to the run's receipt. */
  receipt(facts: ReceiptFacts): void
}

export type ReceiptFacts = Partial<
  Omit<Receipt, 'warnings' | 'startedAt' | 'finishedAt' | 'signature'>
>

export type StepOutcome =
  | { state: 'succeeded'; message?: string }
  /** Nothing to do, and why. */
  | { state: 'skipped'; message: string }

export type StepFunction = (context: StepContext) => Promise<StepOutcome>

/** A step that comes before the disk is known. */
export type DisklessContext = Omit<StepContext, 'disk'>

/** `/dev/sda` → `/dev/sda2`; `/dev/nvme0n1` → `/dev/nvme0n1p2`: a `p` after a digit, as the kernel names them. */
export function partitionPath(diskPath: string, number: number): string {
  return /\d$/.test(diskPath) ? `${diskPath}p${number}` : `${diskPath}${number}`
}
