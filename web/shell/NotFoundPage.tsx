import { Button } from '@mantine/core'
import { IconMapQuestion } from '@tabler/icons-react'
import { Link } from 'react-router'
import { EmptyState } from '../components/EmptyState.tsx'
import { useDocumentTitle } from '../components/use-document-title.ts'

export function NotFoundPage() {
  useDocumentTitle('Not found')
  return (
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
  )
}
