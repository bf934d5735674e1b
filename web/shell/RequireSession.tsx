import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect } from 'react'
import { Navigate, Outlet, useLocation } from 'react-router'
import { Container } from '@mantine/core'
import { sessionQuery } from '../api/session.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { followEvents } from '../live/live-updates.ts'
import { Loading } from './Loading.tsx'

/** Lets through who is signed in, and others to the sign-in; from there they come back here. */
export function RequireSession() {
  const { data: session, error, isPending, refetch } = useQuery(sessionQuery)
  const location = useLocation()
  if (isPending) return <Loading />
  if (error && !session)
    return (
      <Container size="sm" py="xl">
        <ErrorAlert error={error} onRetry={() => void refetch()} />
      </Container>
    )
  if (!session) {
    const from = location.pathname + location.search
    const query = from === '/' ? '' : `?to=${encodeURIComponent(from)}`
    return <Navigate to={`/login${query}`} replace />
  }
  return <Live key={session.user.name} />
}

/** Events flow as long as somebody is signed in. */
function Live() {
  const cache = useQueryClient()
  useEffect(() => followEvents(cache), [cache])
  return <Outlet />
}
