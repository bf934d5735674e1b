import type { Run, RunState, Step, Workflow } from '#protocol/run/run.ts'

/** The words in which screens speak of runs. */

export const WORKFLOW_WORDS: Record<Workflow, string> = {
  deploy: 'Deploy',
  capture: 'Capture',
  verify: 'Verify',
  wipe: 'Wipe',
  inventory: 'Inventory',
}

/** What the state means for who waits for it. */
export const STATE_HINTS: Record<RunState, string> = {
  queued: 'It starts when the machine boots from its network card: restart the machine now.',
  booting: 'The machine fetched its boot script and loads the system that does the work.',
  running: 'The agent is at work on the machine.',
  succeeded: 'All steps were done.',
  failed: 'The run ended before it was done.',
  cancelled: 'Somebody cancelled the run.',
  'timed-out': 'The machine was not heard of for too long.',
}

export function isActive({ state }: Pick<Run, 'state'>): boolean {
  return state === 'queued' || state === 'booting' || state === 'running'
}

/** Ended otherwise than it should have. */
export function isFailure({ state }: Pick<Run, 'state'>): boolean {
  return state === 'failed' || state === 'timed-out'
}

/** The step that is being done, or the one that a run ended in. */
export function currentStep(run: Pick<Run, 'steps'>): Step | undefined {
  return (
    run.steps.find(({ state }) => state === 'running') ??
    run.steps.find(({ state }) => state === 'failed') ??
    run.steps.findLast(({ state }) => state === 'succeeded' || state === 'skipped')
  )
}

/** What stands between the workflow and its image. */
const IMAGE_JOINTS: Partial<Record<Workflow, string>> = { capture: 'as', verify: 'against' }

/** `Deploy of debian-13`, `Verify against debian-13`, `Wipe`. */
export function runTitle({ workflow, image }: Pick<Run, 'workflow' | 'image'>): string {
  const word = WORKFLOW_WORDS[workflow]
  return image === null ? word : `${word} ${IMAGE_JOINTS[workflow] ?? 'of'} ${image}`
}
