import { queryOptions, useQuery, type QueryClient } from '@tanstack/react-query'
import type { Role, Session } from '#protocol/account.ts'
import { bodyOf, client } from './client.ts'
import { keys } from './keys.ts'
import { RequestError } from './request-error.ts'

/** Each role may all that the ones before it may. */
const ROLES: readonly Role[] = ['viewer', 'operator', 'admin']

/** Who is signed in; null: nobody. */
export const sessionQuery = queryOptions({
  queryKey: keys.session,
  queryFn: fetchSession,
  staleTime: Infinity,
})

async function fetchSession(): Promise<Session | null> {
  try {
    return await bodyOf(client.GET('/api/session'))
  } catch (error) {
    if (error instanceof RequestError && error.status === 401) return null
    throw error
  }
}

/** Somebody else than before is there, or nobody: what the one before could see does not stay behind. */
export function changeSession(cache: QueryClient, session: Session | null): void {
  cache.setQueryData(keys.session, session)
  cache.removeQueries({
    predicate: ({ queryKey }) => queryKey[0] !== keys.session[0] && queryKey[0] !== keys.setup[0],
  })
}

/** Of a page inside the guard, where somebody is signed in. */
export function useSession(): Session {
  const { data } = useQuery(sessionQuery)
  if (!data) throw new Error('A page that needs a session was shown without one')
  return data
}

/** Whether who is signed in may do what needs this role; the server decides, this only hides. */
export function useMay(needed: Role): boolean {
  const { data } = useQuery(sessionQuery)
  return data ? ROLES.indexOf(data.user.role) >= ROLES.indexOf(needed) : false
}
