import { Anchor, Group, Table, Text } from '@mantine/core'
import { Link } from 'react-router'
import type { Image } from '#protocol/image/image-info.ts'
import { Bytes } from '../components/Bytes.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { formatBytes } from '../components/format.ts'
import { DamagedBadge } from './DamagedBadge.tsx'
import { bootModesOf, systemOf, usersText } from './image-words.ts'

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of images' }
/** Figures and their units. */
const ONE_LINE = { whiteSpace: 'nowrap' } as const

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
  const { name, description, info, sizeBytes, storedBytes, uniqueBytes, createdAt, usedBy } = image
  return (
    <Table.Tr>
      <Table.Td>
        <Group gap="xs">
          <Anchor component={Link} to={`/images/${name}`} fw={600} size="sm">
            {name}
          </Anchor>
          <DamagedBadge image={image} />
        </Group>
        <Text size="xs" c="dimmed" lineClamp={1} maw={360}>
          {description ?? info.source ?? ''}
        </Text>
      </Table.Td>
      <Table.Td>
        <Text size="sm">{systemOf(image) ?? 'unknown'}</Text>
        <Text size="xs" c="dimmed">
          {bootModesOf(image)}
        </Text>
      </Table.Td>
      <Table.Td ta="right" style={ONE_LINE}>
        <Bytes value={sizeBytes} />
      </Table.Td>
      <Table.Td ta="right" style={ONE_LINE}>
        <Bytes value={storedBytes} />
        {uniqueBytes !== null && uniqueBytes < storedBytes && (
          <Text size="xs" c="dimmed">
            {formatBytes(storedBytes - uniqueBytes)} shared
          </Text>
        )}
      </Table.Td>
      <Table.Td style={ONE_LINE}>
        <RelativeTime at={createdAt} />
      </Table.Td>
      <Table.Td>{usersText(usedBy)}</Table.Td>
    </Table.Tr>
  )
}
