import { queryOptions } from '@tanstack/react-query'
import type { Machine } from '#protocol/machine/machine.ts'
import { bodyOf, client } from './client.ts'
import { keys } from './keys.ts'

/** All machines without their inventories: the page searches, filters and sorts them itself. */
export const machinesQuery = queryOptions({
  queryKey: keys.machines,
  queryFn: fetchMachines,
  staleTime: Infinity, // events keep it fresh
})

const PAGE_LENGTH = 5000

async function fetchMachines({ signal }: { signal: AbortSignal }): Promise<Machine[]> {
  const machines: Machine[] = []
  let after: string | undefined
  do {
    const query = { inventory: false, limit: PAGE_LENGTH, after } as const
    const page = await bodyOf(client.GET('/api/machines', { params: { query }, signal }))
    machines.push(...(page.items as Machine[]))
    after = page.next ?? undefined
  } while (after !== undefined)
  return machines
}
