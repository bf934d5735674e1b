/**
 * When what chunks are stored as was written down in the layouts of all images, which takes a while. What was
 * replaced before it began is named by no layout that an export took after it was done.
 */
export interface FormRenewal {
  begunAt: string
  doneAt: string
}

/** Of those that follow each other closely the first and the last are remembered. */
const CLOSE_MILLISECONDS = 60_000
/** Half an hour: longer than it takes until an export is known to all servers. */
const MAX_RENEWALS = 32

/** The latest last. */
export function withRenewal(before: readonly FormRenewal[], renewal: FormRenewal): FormRenewal[] {
  const [first, last] = before.slice(-2)
  const isClose =
    first && last && Date.parse(last.doneAt) - Date.parse(first.doneAt) < CLOSE_MILLISECONDS
  return [...(isClose ? before.slice(0, -1) : before), renewal].slice(-MAX_RENEWALS)
}

/** What was replaced before is named by no export that began at this moment or later; undefined: anything may be. */
export function replacedBefore(renewals: readonly FormRenewal[], begun: Date): Date | undefined {
  const last = renewals.findLast(({ doneAt }) => Date.parse(doneAt) < begun.getTime())
  return last && new Date(last.begunAt)
}
