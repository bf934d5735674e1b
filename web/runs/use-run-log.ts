import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import type { LogLine, RunDetail } from '#protocol/run/run.ts'
import { fetchLog } from './run-queries.ts'
import { isActive } from './run-words.ts'

/** Lines are no events; they are asked for while somebody looks. */
const POLL_MILLISECONDS = 1500
/** More is not kept in the page: the first to go are the oldest. */
const MOST_LINES = 5000
const MOST_PAGES = 10

/** The log of one attempt: what is there, and then what comes. */
export function useRunLog(run: RunDetail, attempt: number): LogLine[] {
  const cache = useQueryClient()
  const queryKey = ['run-log', run.id, attempt]
  const isLive = isActive(run) && attempt === run.attempts
  const { data, refetch } = useQuery({
    queryKey,
    queryFn: async () => {
      const known = cache.getQueryData<LogLine[]>(queryKey) ?? []
      return [...known, ...(await linesAfter(run, attempt, known))].slice(-MOST_LINES)
    },
    refetchInterval: isLive ? POLL_MILLISECONDS : false,
    enabled: attempt > 0,
  })
  // The last lines come with the end of the run.
  useEffect(() => {
    if (!isLive && attempt > 0) void refetch()
  }, [isLive, attempt, refetch])
  return data ?? []
}

async function linesAfter(run: RunDetail, attempt: number, known: LogLine[]): Promise<LogLine[]> {
  const lines: LogLine[] = []
  let after = known.at(-1)?.offset
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { items, next } = await fetchLog(run, attempt, after?.toString())
    lines.push(...items)
    after = items.at(-1)?.offset
    if (next === null || after === undefined) break
  }
  return lines
}
