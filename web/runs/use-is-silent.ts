import type { Run } from '#protocol/run/run.ts'
import { silenceOf, type HeardRun } from '#protocol/run/run-silence.ts'
import { useNow } from '../components/use-now.ts'

/** Whether its agent says nothing though it should, so that what it said last holds no longer. */
export function useIsSilent(run: HeardRun): boolean {
  return useNow((now) => (silenceOf(run, now) ? 1 : 0)) === 1
}

/** The ids of those that are silent. */
export function useSilent(runs: readonly Run[]): ReadonlySet<string> {
  // A text, since what is made anew each second would be drawn anew each second.
  const ids = useNow((now) =>
    runs
      .filter((run) => silenceOf(run, now))
      .map(({ id }) => id)
      .join(),
  )
  return new Set(ids.split(','))
}
