import { Badge, Group, Text } from '@mantine/core'
import type { ImageVersion } from '#protocol/image-version.ts'

/** The number, and whether the name alone stands for it. */
export function VersionNumber({ version: { version, isPromoted } }: { version: ImageVersion }) {
  return (
    <Group gap="xs" wrap="nowrap">
      <Text size="sm" fw={600} className="tabular">
        {version}
      </Text>
      {isPromoted && (
        <Badge size="sm" color="teal.9">
          promoted
        </Badge>
      )}
    </Group>
  )
}
