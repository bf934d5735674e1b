import { queryOptions } from '@tanstack/react-query'
import type { StoreStatus } from '#protocol/store.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'

/** Progress of work on the store makes no events. */
const REFRESH_MILLISECONDS = 3000

export const storeQuery = queryOptions({
  queryKey: keys.store,
  queryFn: ({ signal }): Promise<StoreStatus> => bodyOf(client.GET('/api/store', { signal })),
  refetchInterval: REFRESH_MILLISECONDS,
})

export async function scrubStore(): Promise<void> {
  await client.POST('/api/store/scrub')
}

export async function recompressStore(body: { enabled?: boolean }): Promise<void> {
  await client.POST('/api/store/recompress', { body })
}

export async function sweepStore(): Promise<{ removedChunks: number }> {
  return bodyOf(client.POST('/api/store/sweep'))
}

export async function migrateStore(body: { to: string; verify?: boolean }): Promise<void> {
  await client.POST('/api/store/migration', { body })
}

export async function cancelMigration(): Promise<void> {
  await client.DELETE('/api/store/migration')
}
