import { Text } from '@mantine/core'
import type { Image } from '#protocol/image/image-info.ts'
import { AlertLink } from '../components/AlertLink.tsx'
import { LossAlert } from '../components/LossAlert.tsx'

/** Nothing, for an image that is whole. */
export function DamagedImage({ image: { name, damaged } }: { image: Image }) {
  if (!damaged) return undefined
  const what = damaged.chunks === 1 ? 'a chunk' : `${damaged.chunks} chunks`
  return (
    <LossAlert title="The store has lost a part of this image">
      <Text size="sm">
        {name} lacks {what}, and cannot be deployed. Capture it again from a machine that has it, or
        upload it again, and it is whole. <AlertLink to="/settings/store">See the store</AlertLink>
      </Text>
    </LossAlert>
  )
}
