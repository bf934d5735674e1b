import { silenceOf, type HeardRun } from '#protocol/run-silence.ts'
import { useNow } from '../components/use-now.ts'

/** Whether its agent says nothing though it should, so that what it said last holds no longer. */
export function useIsSilent(run: HeardRun): boolean {
  return useNow((now) => (silenceOf(run, now) ? 1 : 0)) === 1
}
