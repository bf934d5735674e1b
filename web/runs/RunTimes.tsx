import type { Run } from '#protocol/run/run.ts'
import { formatDuration } from '../components/format.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { useNow } from '../components/use-now.ts'
import { FactList } from '../machine/FactList.tsx'

/** When it was asked for, begun and over, and how long that took. */
export function RunTimes({ run }: { run: Run }) {
  return (
    <FactList
      facts={[
        ['Asked for', <RelativeTime key="asked" at={run.createdAt} />],
        ['Started', run.startedAt && <RelativeTime key="started" at={run.startedAt} />],
        [
          'Last report',
          run.finishedAt === null && run.lastReportAt ? (
            <RelativeTime key="report" at={run.lastReportAt} />
          ) : null,
        ],
        ['Finished', run.finishedAt && <RelativeTime key="finished" at={run.finishedAt} />],
        [lastedWord(run), <Elapsed key="elapsed" run={run} />],
      ]}
    />
  )
}

/** Of one that ended before it began to work, nobody says that it took long. */
function lastedWord({ startedAt, finishedAt }: Run): string {
  if (finishedAt === null) return 'So far'
  return startedAt === null ? 'Waited' : 'Took'
}

/** How long a run works, or worked; before it works, how long it waits. */
export function Elapsed({ run }: { run: Pick<Run, 'createdAt' | 'startedAt' | 'finishedAt'> }) {
  const from = Date.parse(run.startedAt ?? run.createdAt)
  const text = useNow((now) => {
    const to = run.finishedAt ? Date.parse(run.finishedAt) : now.getTime()
    return formatDuration((to - from) / 1000)
  })
  return <span className="tabular">{text}</span>
}
