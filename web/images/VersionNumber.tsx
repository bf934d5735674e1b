import { Badge, Group, Text } from '@mantine/core'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import { DamagedBadge } from './DamagedBadge.tsx'

/** The number, and whether the name alone stands for it. */
export function VersionNumber({ version: row }: { version: ImageVersion }) {
  const { version, isPromoted } = row
  return (
    <Group gap={6}>
      <Text size="sm" fw={600} className="tabular">
        {version}
      </Text>
      {isPromoted && (
        <Badge size="sm" color="teal.9" flex="none">
          promoted
        </Badge>
      )}
      <DamagedBadge image={row} />
    </Group>
  )
}
