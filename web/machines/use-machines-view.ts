import { useCallback, useMemo } from 'react'
import { useSearchParams } from 'react-router'
import { machinesSearch, parseMachinesView, type MachinesView } from './machines-view.ts'

/** What is shown, kept in the address: it can be sent to somebody, and "back" comes back to it. */
export function useMachinesView(): [MachinesView, (changes: Partial<MachinesView>) => void] {
  const [query, setQuery] = useSearchParams()
  const view = useMemo(() => parseMachinesView(query), [query])
  const change = useCallback(
    (changes: Partial<MachinesView>) => {
      const next = (before: URLSearchParams) =>
        machinesSearch({ ...parseMachinesView(before), ...changes })
      setQuery(next, { replace: true })
    },
    [setQuery],
  )
  return [view, change]
}
