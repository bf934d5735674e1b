import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { machinesQuery } from '../api/machines.ts'

/** What machines are called, by MAC: runs know only that. */
export function useNames(): Map<string, string> {
  const { data } = useQuery(machinesQuery)
  return useMemo(() => new Map(data?.map(({ mac, name }) => [mac, name])), [data])
}
