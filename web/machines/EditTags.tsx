import { Button, Group, Modal, Stack, TagsInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { Machine } from '#protocol/machine/machine.ts'
import { keys } from '../api/keys.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { countOf } from '../components/format.ts'
import { useSending } from '../components/use-sending.ts'
import { changeMachines, describeSelection } from './bulk.ts'
import { filterChoices } from './machines-view.ts'
import { showOutcome } from './show-outcome.ts'

interface EditTagsProps {
  opened: boolean
  onClose: () => void
  machines: Machine[]
}

export function EditTags(props: EditTagsProps) {
  const title = `Tags of ${countOf(props.machines.length, 'machine')}`
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={title}>
      <TagsForm {...props} />
    </Modal>
  )
}

const MOST_CHARACTERS = 64

function TagsForm({ machines, onClose }: EditTagsProps) {
  const [addTags, setAdd] = useState<string[]>([])
  const [removeTags, setRemove] = useState<string[]>([])
  const { isBusy, error, send } = useSending(save, onClose)
  const all = useQueryClient().getQueryData<Machine[]>(keys.machines) ?? machines

  async function save(): Promise<void> {
    const macs = machines.map(({ mac }) => mac)
    showOutcome(await changeMachines(macs, { addTags, removeTags }), 'changed')
  }

  const trimmed = (tags: string[]) => tags.map((tag) => tag.trim().slice(0, MOST_CHARACTERS))
  return (
    <Stack>
      <TagsInput
        label="Add"
        description="Press Enter after each"
        openOnFocus={false}
        maxDropdownHeight={120}
        data={filterChoices(all).tags}
        value={addTags}
        onChange={(tags) => setAdd(trimmed(tags))}
        data-autofocus
      />
      <TagsInput
        label="Remove"
        openOnFocus={false}
        // Below it are the buttons.
        comboboxProps={{ position: 'top' }}
        data={describeSelection(machines).tags}
        value={removeTags}
        onChange={(tags) => setRemove(trimmed(tags))}
      />
      <ErrorAlert error={error} />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          Cancel
        </Button>
        <BusyButton
          onClick={() => void send()}
          isOff={addTags.length + removeTags.length === 0}
          isBusy={isBusy}
        >
          Save
        </BusyButton>
      </Group>
    </Stack>
  )
}
