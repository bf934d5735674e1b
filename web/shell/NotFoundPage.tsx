import { Button } from '@mantine/core'
import { IconMapQuestion } from '@tabler/icons-react'
import { Link } from 'react-router'
import { EmptyState } from '../components/EmptyState.tsx'
import { PageTitle } from '../components/PageTitle.tsx'

export function NotFoundPage() {
  return (
    <>
      <PageTitle title="Not found" />
      <EmptyState
        icon={IconMapQuestion}
        title="There is no such page"
        action={
          <Button component={Link} to="/machines">
            Go to machines
          </Button>
        }
      >
        The address may be old, or have a typing error in it.
      </EmptyState>
    </>
  )
}
