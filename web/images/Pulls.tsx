import { Anchor, Button, Group, Paper, Progress, Stack, Text } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from 'react-router'
import type { ImagePull } from '#protocol/image/image-pull.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { formatBytes } from '../components/format.ts'
import { showError } from '../components/show.ts'
import { useNow } from '../components/use-now.ts'
import { TransferText } from './TransferText.tsx'
import { cancelPull, pullsQuery } from './version-queries.ts'

/** Those that ended are of interest for so long. */
const SHOWN_MILLISECONDS = 15 * 60_000

/** Images that the server fetches, and what became of those of late. */
export function Pulls() {
  const { data: pulls = [] } = useQuery(pullsQuery)
  // To the minute: the list is not made anew with every tick.
  const now = useNow((time) => Math.floor(time.getTime() / 60_000) * 60_000)
  const shown = pulls.filter(
    ({ state, finishedAt }) =>
      state === 'running' ||
      (finishedAt !== null && now - Date.parse(finishedAt) < SHOWN_MILLISECONDS),
  )
  if (shown.length === 0) return null
  return (
    <Stack gap="xs" component="section" aria-label="Fetched from URLs">
      {shown.map((pull) => (
        <PullRow key={pull.id} pull={pull} />
      ))}
    </Stack>
  )
}

function PullRow({ pull }: { pull: ImagePull }) {
  const cache = useQueryClient()
  const mayOperate = useMay('operator')
  const { id, image, url, state, bytesDone, bytesTotal } = pull

  async function cancel(): Promise<void> {
    await cancelPull(id).catch(showError)
    await cache.invalidateQueries({ queryKey: keys.images })
  }

  return (
    <Paper withBorder p="sm">
      <Group justify="space-between" gap="xs" wrap="nowrap">
        <Text size="sm" fw={600} style={{ overflowWrap: 'anywhere' }}>
          {state === 'done' ? (
            <Anchor component={Link} to={`/images/${image}`} inherit>
              {image}
            </Anchor>
          ) : (
            `${url} → ${image}`
          )}
        </Text>
        {state === 'running' && mayOperate && (
          <Button
            size="compact-sm"
            variant="default"
            aria-label={`Cancel fetching ${image}`}
            style={{ flexShrink: 0 }}
            onClick={() => void cancel()}
          >
            Cancel
          </Button>
        )}
      </Group>
      {state === 'running' && (
        <Progress.Root size={10} my={6}>
          <Progress.Section
            value={bytesTotal ? (100 * bytesDone) / bytesTotal : 100}
            color="indigo"
            animated={bytesTotal === null}
            aria-label={`Fetching ${image}`}
          />
        </Progress.Root>
      )}
      <TransferText isMoving={state === 'running'} isFailed={state === 'failed'}>
        {pullText(pull)}
      </TransferText>
    </Paper>
  )
}

function pullText({ state, bytesDone, bytesTotal, error, version }: ImagePull): string {
  switch (state) {
    case 'running':
      return bytesTotal === null
        ? `${formatBytes(bytesDone)} came`
        : `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`
    case 'done':
      return `Fetched, as version ${version}`
    case 'cancelled':
      return 'Cancelled; nothing of it stays'
    case 'failed':
      return error?.message ?? 'It failed'
  }
}
