import { Button, Container, Group } from '@mantine/core'
import { useRouteError } from 'react-router'
import { ErrorAlert } from '../components/ErrorAlert.tsx'

/** What a page threw. After an update of the server its old code is gone: loading anew gets the new. */
export function RouteError() {
  const error = useRouteError()
  const isOldCode = error instanceof Error && /dynamically imported module/.test(error.message)
  const shown = isOldCode
    ? new Error('This page could not be loaded; the server was updated, or the connection is down')
    : error
  return (
    <Container size="sm" py="xl">
      <ErrorAlert error={shown} title="Something failed on this page" />
      <Group mt="md">
        <Button onClick={() => location.reload()}>Load the page again</Button>
      </Group>
    </Container>
  )
}
