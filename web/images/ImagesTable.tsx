import { Anchor, Table, Text } from '@mantine/core'
import { Link } from 'react-router'
import type { Image } from '#protocol/image-info.ts'
import { Bytes } from '../components/Bytes.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { formatBytes } from '../components/format.ts'

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of images' }

export function ImagesTable({ images }: { images: readonly Image[] }) {
  return (
    <Table.ScrollContainer minWidth={760} scrollAreaProps={{ viewportProps: REACHABLE }}>
      <Table verticalSpacing="sm" highlightOnHover>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>System</Table.Th>
            <Table.Th ta="right">Disk</Table.Th>
            <Table.Th ta="right">Stored</Table.Th>
            <Table.Th>Made</Table.Th>
            <Table.Th>Used by</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {images.map((image) => (
            <ImageRow key={image.name} image={image} />
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

function ImageRow({ image }: { image: Image }) {
  const { name, description, info, sizeBytes, storedBytes, uniqueBytes, createdAt } = image
  return (
    <Table.Tr>
      <Table.Td>
        <Anchor component={Link} to={`/images/${name}`} fw={600} size="sm">
          {name}
        </Anchor>
        <Text size="xs" c="dimmed" lineClamp={1} maw={360}>
          {description ?? info.source ?? ''}
        </Text>
      </Table.Td>
      <Table.Td>
        <Text size="sm">{info.operatingSystem ?? fileSystemsOf(image)}</Text>
        <Text size="xs" c="dimmed">
          {(info.bootModes ?? []).map((mode) => mode.toUpperCase()).join(', ')}
        </Text>
      </Table.Td>
      <Table.Td ta="right">
        <Bytes value={sizeBytes} />
      </Table.Td>
      <Table.Td ta="right">
        <Bytes value={storedBytes} />
        {uniqueBytes !== null && uniqueBytes < storedBytes && (
          <Text size="xs" c="dimmed">
            {formatBytes(storedBytes - uniqueBytes)} shared
          </Text>
        )}
      </Table.Td>
      <Table.Td>
        <RelativeTime at={createdAt} />
      </Table.Td>
      <Table.Td>{usedByText(image)}</Table.Td>
    </Table.Tr>
  )
}

function fileSystemsOf({ info }: Image): string {
  const found = (info.partitions ?? []).flatMap(({ fileSystem }) => fileSystem ?? [])
  return [...new Set(found)].join(', ') || 'unknown'
}

function usedByText({ usedBy: { machines, runs } }: Image): string {
  const parts = [
    machines.length > 0 && (machines.length === 1 ? '1 machine' : `${machines.length} machines`),
    runs.length > 0 && (runs.length === 1 ? '1 run' : `${runs.length} runs`),
  ].filter((part) => part !== false)
  return parts.join(', ') || 'nothing'
}
