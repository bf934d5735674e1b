import { QueryClient } from '@tanstack/react-query'
import { RequestError } from './request-error.ts'

/** Live events keep the cache fresh; this is only for what has none. */
const STALE_MILLISECONDS = 30_000
const MOST_RETRIES = 2

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: { staleTime: STALE_MILLISECONDS, retry: mayRetry, networkMode: 'always' },
    mutations: { retry: false, networkMode: 'always' },
  },
})

/** What the server refused it will refuse again; only a bad link is worth another try. */
function mayRetry(failures: number, error: Error): boolean {
  const isFinal = error instanceof RequestError && error.status > 0 && error.status < 500
  return !isFinal && failures < MOST_RETRIES
}
