import { Code, Group, Text } from '@mantine/core'
import { Link } from 'react-router'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import { Bytes } from '../components/Bytes.tsx'
import { Card, CardList } from '../components/CardList.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { usersText } from './image-words.ts'
import { VersionMenu, type VersionsProps } from './VersionMenu.tsx'
import { VersionNumber } from './VersionNumber.tsx'

/** The table where there is no room for one. */
export function VersionCards({ versions, ...menu }: VersionsProps) {
  return (
    <CardList label="List of versions">
      {versions.map((version) => (
        <Card key={version.version}>
          <Group justify="space-between" wrap="nowrap" gap="xs">
            <Group gap="xs">
              <VersionNumber version={version} />
              <Code>{version.digest.slice(0, 12)}</Code>
            </Group>
            <VersionMenu version={version} {...menu} />
          </Group>
          <CardText version={version} />
        </Card>
      ))}
    </CardList>
  )
}

function CardText({ version }: { version: ImageVersion }) {
  const { createdAt, createdBy, runId, info, fileName, uniqueBytes, usedBy } = version
  return (
    <>
      <Text size="sm">
        Made <RelativeTime at={createdAt} />
        {createdBy !== null && ` by ${createdBy}`}
      </Text>
      <Text size="xs" c="dimmed" style={{ overflowWrap: 'anywhere' }}>
        {info.source ?? fileName ?? 'Nobody said where it came from'}
        {runId !== null && (
          <>
            {' · '}
            <Link to={`/runs/${runId}`}>the run</Link>
          </>
        )}
      </Text>
      <Text size="xs" c="dimmed">
        Used by {usersText(usedBy, 'nothing by itself')} · its own:{' '}
        {uniqueBytes === null ? 'being counted' : <Bytes value={uniqueBytes} />}
      </Text>
    </>
  )
}
