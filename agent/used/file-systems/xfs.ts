import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'

export const surveyXfs: Surveyor = async (context, view) => {
  const { stdout } = await context.exec('xfs_logprint', ['-t', view.path])
  const state = logState(stdout)
  if (state === 'DIRTY') return { kind: 'whole', reason: 'its log has not been replayed' }
  if (state !== 'CLEAN') return { kind: 'whole', reason: 'the state of its log is not known' }
  return { kind: 'used', used: await mapUsed(context, 'xfs', view), leftOut: [], patches: [] }
}

/** `log tail: 2 head: 2 state: <CLEAN>`. */
export function logState(text: string): string | undefined {
  return /\bstate: <(\w+)>/.exec(text)?.[1]
}
