import { queryOptions } from '@tanstack/react-query'
import type { Lease } from '#protocol/lease.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'

const PAGE_LENGTH = 1000
/** Other DHCP servers and the pool change without an event of their own. */
const REFRESH_MILLISECONDS = 30_000

export interface Reservation {
  mac: string
  address: string
  hostname?: string
}

export const networkQuery = queryOptions({
  queryKey: keys.network,
  queryFn: ({ signal }) => bodyOf(client.GET('/api/network', { signal })),
  refetchInterval: REFRESH_MILLISECONDS,
})

export const leasesQuery = queryOptions({ queryKey: keys.leases, queryFn: fetchLeases })

async function fetchLeases({ signal }: { signal: AbortSignal }): Promise<Lease[]> {
  const leases: Lease[] = []
  let after: string | undefined
  do {
    const query = { limit: PAGE_LENGTH, ...(after !== undefined && { after }) }
    const page = await bodyOf(client.GET('/api/leases', { params: { query }, signal }))
    leases.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined)
  return leases
}

export const reservationsQuery = queryOptions({
  queryKey: keys.reservations,
  queryFn: async ({ signal }): Promise<Reservation[]> =>
    (await bodyOf(client.GET('/api/reservations', { signal }))).items,
})

export async function saveReservation({ mac, ...body }: Reservation): Promise<void> {
  await client.PUT('/api/reservations/{mac}', { params: { path: { mac } }, body })
}

export async function deleteReservation(mac: string): Promise<void> {
  await client.DELETE('/api/reservations/{mac}', { params: { path: { mac } } })
}
