import { Anchor, Button, Group, Paper, Progress, Stack, Text } from '@mantine/core'
import { Link } from 'react-router'
import { formatBytes, formatDuration, formatRate, secondsLeft } from '../components/format.ts'
import { TransferText } from './TransferText.tsx'
import { cancelUpload, dismissUpload, useUploads, type LocalUpload } from './upload-store.ts'

const COLORS = {
  sending: 'indigo',
  finishing: 'indigo',
  waiting: 'yellow.8',
  done: 'green.8',
  failed: 'red.8',
  cancelled: 'gray.6',
} as const

/** Uploads of this tab, newest first. */
export function Uploads() {
  const uploads = useUploads()
  if (uploads.length === 0) return null
  return (
    <Stack gap="xs" component="section" aria-label="Uploads">
      {uploads.map((upload) => (
        <UploadRow key={upload.key} upload={upload} />
      ))}
    </Stack>
  )
}

function UploadRow({ upload }: { upload: LocalUpload }) {
  const { key, name, fileName, sizeBytes, bytesSent, state } = upload
  const isActive = state === 'sending' || state === 'waiting' || state === 'finishing'
  return (
    <Paper withBorder p="sm">
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Text size="sm" fw={600} style={{ overflowWrap: 'anywhere' }}>
          {state === 'done' ? (
            <Anchor component={Link} to={`/images/${name}`} inherit>
              {name}
            </Anchor>
          ) : (
            `${fileName} → ${name}`
          )}
        </Text>
        <Button
          size="compact-sm"
          variant="default"
          aria-label={`${isActive ? 'Cancel' : 'Dismiss'} the upload of ${fileName}`}
          style={{ flexShrink: 0 }}
          onClick={() => (isActive ? cancelUpload(key) : dismissUpload(key))}
        >
          {isActive ? 'Cancel' : 'Dismiss'}
        </Button>
      </Group>
      <Progress.Root size={10} my={6}>
        <Progress.Section
          value={(100 * bytesSent) / sizeBytes}
          color={COLORS[state]}
          animated={state === 'finishing'}
          aria-label={`Upload of ${fileName}`}
        />
      </Progress.Root>
      <TransferText isMoving={state === 'sending'} isFailed={state === 'failed'}>
        {uploadText(upload)}
      </TransferText>
    </Paper>
  )
}

function uploadText(upload: LocalUpload): string {
  const { state, sizeBytes, bytesSent, bytesPerSecond, reason } = upload
  const amount = `${formatBytes(bytesSent)} of ${formatBytes(sizeBytes)}`
  switch (state) {
    case 'sending': {
      const left = secondsLeft({ bytesDone: bytesSent, bytesTotal: sizeBytes, bytesPerSecond })
      const rate = bytesPerSecond > 0 && formatRate(bytesPerSecond)
      const rest = left !== undefined && `${formatDuration(left)} left`
      return [amount, rate, rest].filter(Boolean).join(' · ')
    }
    case 'waiting':
      return `${amount}. ${reason ?? 'The link is down'}; it goes on by itself`
    case 'finishing':
      return 'All is sent; the server checks and stores the rest'
    case 'done':
      return `${formatBytes(sizeBytes)} uploaded`
    case 'cancelled':
      return 'Cancelled; the server forgot what it had of it'
    case 'failed':
      return reason ?? 'It failed'
  }
}
