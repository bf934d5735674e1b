import { queryOptions } from '@tanstack/react-query'
import { bodyOf, client } from './client.ts'
import { keys } from './keys.ts'

/** Whether there is no account yet. */
export const setupQuery = queryOptions({
  queryKey: keys.setup,
  queryFn: () => bodyOf(client.GET('/api/setup')),
  staleTime: Infinity,
})
