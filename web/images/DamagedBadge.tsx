import { Badge } from '@mantine/core'
import type { Image } from '#protocol/image-info.ts'

/** Nothing, for an image that is whole. */
export function DamagedBadge({ image: { damaged } }: { image: Image }) {
  if (!damaged) return undefined
  return (
    <Badge size="sm" color="red.9">
      damaged
    </Badge>
  )
}
