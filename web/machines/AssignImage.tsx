import { Button, Group, Modal, Select, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import type { Machine } from '#protocol/machine/machine.ts'
import { imagesQuery } from '../api/images.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { countOf, formatBytes } from '../components/format.ts'
import { useSending } from '../components/use-sending.ts'
import { imageChoices } from '../images/image-choices.ts'
import { changeMachines } from './bulk.ts'
import { showOutcome } from './show-outcome.ts'

interface AssignImageProps {
  opened: boolean
  onClose: () => void
  machines: Machine[]
}

export function AssignImage(props: AssignImageProps) {
  const title = `Assign an image to ${countOf(props.machines.length, 'machine')}`
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={title}>
      <AssignForm {...props} />
    </Modal>
  )
}

const NONE = ''

function AssignForm({ machines, onClose }: AssignImageProps) {
  const { data: images, error } = useQuery(imagesQuery)
  const [image, setImage] = useState<string | null>(null)
  const { isBusy, error: failure, send } = useSending(assign, onClose)

  async function assign(): Promise<void> {
    const macs = machines.map(({ mac }) => mac)
    const outcome = await changeMachines(macs, { image: image === NONE ? null : image })
    showOutcome(outcome, image === NONE ? 'without an image now' : `assigned to ${image}`)
  }

  const data = [
    ...imageChoices(images ?? []).map(({ value, label, image: { sizeBytes } }) => ({
      value,
      label: `${label} (${formatBytes(sizeBytes)})`,
    })),
    { value: NONE, label: 'No image' },
  ]
  return (
    <Stack>
      <Text size="sm" c="dimmed">
        This starts nothing. It is what a deploy of these machines will write.
      </Text>
      <Select
        label="Image"
        placeholder={images ? 'Choose one' : 'Loading…'}
        data={data}
        value={image}
        onChange={setImage}
        searchable
        data-autofocus
      />
      <ErrorAlert error={failure ?? error} />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <BusyButton onClick={() => void send()} isOff={image === null} isBusy={isBusy}>
          Assign
        </BusyButton>
      </Group>
    </Stack>
  )
}
