import { Alert, Checkbox, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { imagesQuery } from '../api/images.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import type { PlanFieldsProps } from './plan-fields.ts'

/** What the image will be called. */
export function CaptureFields({ draft, mistakes, set }: PlanFieldsProps) {
  const { data: images = [] } = useQuery(imagesQuery)
  const present = images.find(({ name }) => name === draft.image)
  return (
    <>
      <TextInput
        label="Name of the image"
        placeholder="debian-13"
        required
        value={draft.image}
        onChange={(event) => set({ image: event.currentTarget.value.trim() })}
        error={mistakes.image}
        autoComplete="off"
        spellCheck={false}
      />
      <Checkbox
        label="Capture free space, too"
        description="Usually only blocks that file systems use are read. Choose this to keep deleted files, for example."
        checked={draft.wholeDisk}
        onChange={(event) => set({ wholeDisk: event.currentTarget.checked })}
      />
      {present && (
        <Alert color="yellow" title="There is an image of that name">
          It was made <RelativeTime at={present.createdAt} />. The capture becomes its next version,
          which the name stands for at once: later deploys of “{present.name}” get it.
        </Alert>
      )}
    </>
  )
}
