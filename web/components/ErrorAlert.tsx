import { Alert, Button, Code, Stack, Text } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { errorText, RequestError } from '../api/request-error.ts'

interface ErrorAlertProps {
  error: unknown
  title?: string
  onRetry?: () => void
}

/** The server's own sentence, and its code for whoever asks for help. Nothing while there is no error. */
export function ErrorAlert({ error, title = 'That did not work', onRetry }: ErrorAlertProps) {
  if (error === null || error === undefined) return null
  return (
    <Alert color="red" variant="light" title={title} icon={<IconAlertTriangle />} role="alert">
      <Stack gap="xs" align="flex-start">
        <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
          {errorText(error)}
        </Text>
        {error instanceof RequestError && <Code>{error.code}</Code>}
        {onRetry && (
          <Button size="xs" variant="default" onClick={onRetry}>
            Try again
          </Button>
        )}
      </Stack>
    </Alert>
  )
}
