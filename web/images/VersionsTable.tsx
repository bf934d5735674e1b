import { Code, Table, Text, VisuallyHidden } from '@mantine/core'
import type { ReactNode } from 'react'
import { Link } from 'react-router'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import { Bytes } from '../components/Bytes.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { usersText } from './image-words.ts'
import { VersionMenu, type VersionsProps } from './VersionMenu.tsx'
import { VersionNumber } from './VersionNumber.tsx'

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of versions' }

export function VersionsTable({ versions, ...menu }: VersionsProps) {
  return (
    <Table.ScrollContainer minWidth={640} scrollAreaProps={{ viewportProps: REACHABLE }}>
      <Table verticalSpacing="xs">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Version</Table.Th>
            <Table.Th>Made</Table.Th>
            <Table.Th>From</Table.Th>
            <Table.Th ta="right" style={{ whiteSpace: 'nowrap' }}>
              Its own
            </Table.Th>
            <Table.Th>Used by</Table.Th>
            <Table.Th>
              <VisuallyHidden>Actions</VisuallyHidden>
            </Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {versions.map((version) => (
            <VersionRow key={version.version} version={version}>
              <VersionMenu version={version} {...menu} />
            </VersionRow>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

function VersionRow({ version: row, children }: { version: ImageVersion; children: ReactNode }) {
  const { digest, createdAt, createdBy, runId, info, uniqueBytes } = row
  return (
    <Table.Tr>
      <Table.Td>
        <VersionNumber version={row} />
        <Code>{digest.slice(0, 12)}</Code>
      </Table.Td>
      <Table.Td>
        <RelativeTime at={createdAt} />
        <Text size="xs" c="dimmed">
          {createdBy === null ? '' : `by ${createdBy}`}
        </Text>
      </Table.Td>
      <Table.Td>
        <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
          {info.source ?? row.fileName ?? 'unknown'}
        </Text>
        {runId !== null && (
          <Text size="xs" component={Link} to={`/runs/${runId}`}>
            the run
          </Text>
        )}
      </Table.Td>
      <Table.Td ta="right">
        {uniqueBytes === null ? 'being counted' : <Bytes value={uniqueBytes} />}
      </Table.Td>
      <Table.Td>
        <Text size="sm">{usersText(row.usedBy, 'nothing by itself')}</Text>
      </Table.Td>
      <Table.Td ta="right">{children}</Table.Td>
    </Table.Tr>
  )
}
