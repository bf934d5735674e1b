import { queryOptions } from '@tanstack/react-query'
import type { Lease } from '#protocol/lease.ts'
import type { Machine, MachinePatch } from '#protocol/machine/machine.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'

/** What the page of a machine asks of the server. */

export function machineQuery(mac: string) {
  return queryOptions({
    queryKey: keys.machine(mac),
    queryFn: (): Promise<Machine> =>
      bodyOf(client.GET('/api/machines/{mac}', { params: { path: { mac } } })),
  })
}

/** What an operator edits, with the tag that says which version of it was read. */
export interface EditedMachine {
  machine: Machine
  etag: string | null
}

export async function fetchForEdit(mac: string): Promise<EditedMachine> {
  const { data, response } = await client.GET('/api/machines/{mac}', {
    params: { path: { mac } },
    cache: 'no-store',
  })
  return { machine: data as Machine, etag: response.headers.get('etag') }
}

/** Saves only if nobody else saved since: else the server answers 412. */
export function saveMachine(
  mac: string,
  changes: MachinePatch,
  etag: string | null,
): Promise<Machine> {
  return bodyOf(
    client.PATCH('/api/machines/{mac}', {
      params: { path: { mac } },
      body: changes,
      ...(etag !== null && { headers: { 'if-match': etag } }),
    }),
  )
}

export function forgetMachine(mac: string): Promise<unknown> {
  return bodyOf(client.DELETE('/api/machines/{mac}', { params: { path: { mac } } }))
}

/** The iPXE script that the machine would get now, its token left out. */
export function scriptQuery(mac: string) {
  return queryOptions({
    queryKey: keys.script(mac),
    queryFn: (): Promise<string> =>
      bodyOf(
        client.GET('/api/machines/{mac}/script', {
          params: { path: { mac } },
          parseAs: 'text',
        }),
      ),
  })
}

export function machineLeasesQuery(mac: string) {
  return queryOptions({
    queryKey: [...keys.leases, { mac }],
    queryFn: async (): Promise<Lease[]> => {
      const { items } = await bodyOf(client.GET('/api/leases', { params: { query: { mac } } }))
      return items
    },
  })
}
