import { Badge } from '@mantine/core'
import type { Image } from '#protocol/image/image-info.ts'

/** Nothing, for an image or a version that is whole. */
export function DamagedBadge({ image: { damaged } }: { image: Pick<Image, 'damaged'> }) {
  if (!damaged) return undefined
  return (
    <Badge size="sm" color="red.9" flex="none">
      damaged
    </Badge>
  )
}
