import { Anchor, Group, Text } from '@mantine/core'
import { Link } from 'react-router'
import type { Image } from '#protocol/image/image-info.ts'
import { Bytes } from '../components/Bytes.tsx'
import { Card, CardList } from '../components/CardList.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { DamagedBadge } from './DamagedBadge.tsx'
import { bootModesOf, systemOf, usersText } from './image-words.ts'

/** The table where there is no room for one. */
export function ImageCards({ images }: { images: readonly Image[] }) {
  return (
    <CardList label="List of images">
      {images.map((image) => (
        <Card key={image.name}>
          <CardText image={image} />
        </Card>
      ))}
    </CardList>
  )
}

function CardText({ image }: { image: Image }) {
  const { name, description, info, sizeBytes, storedBytes, createdAt, usedBy } = image
  const about = description ?? info.source
  const system = [systemOf(image), bootModesOf(image)].filter(Boolean).join(' · ')
  return (
    <>
      <Group justify="space-between" wrap="nowrap" gap="xs">
        <Anchor
          component={Link}
          to={`/images/${name}`}
          fw={600}
          size="sm"
          style={{ overflowWrap: 'anywhere' }}
        >
          {name}
        </Anchor>
        <DamagedBadge image={image} />
      </Group>
      {about !== undefined && (
        <Text size="xs" c="dimmed" lineClamp={2}>
          {about}
        </Text>
      )}
      {system !== '' && <Text size="sm">{system}</Text>}
      <Text size="xs" c="dimmed">
        Disk <Bytes value={sizeBytes} /> · stored <Bytes value={storedBytes} /> · made{' '}
        <RelativeTime at={createdAt} />
      </Text>
      <Text size="xs" c="dimmed">
        Used by {usersText(usedBy)}
      </Text>
    </>
  )
}
