import { Checkbox, Fieldset, Radio, Select, Stack, Text, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import type { Machine } from '#protocol/machine/machine.ts'
import { imagesQuery } from '../api/images.ts'
import { imageChoices } from '../images/image-choices.ts'
import { formatBytes } from '../components/format.ts'
import type { PlanFieldsProps } from './plan-fields.ts'

interface DeployFieldsProps extends PlanFieldsProps {
  machines: readonly Machine[]
}

/** Which image, and what becomes of it on the disk. */
export function DeployFields({ draft, mistakes, set, machines }: DeployFieldsProps) {
  const { data: images = [] } = useQuery(imagesQuery)
  const data = imageChoices(images).map(({ value, label, image: { info, sizeBytes } }) => ({
    value,
    label: [label, info.operatingSystem, formatBytes(sizeBytes)].filter(Boolean).join(' · '),
  }))
  // Another version, or one that was deleted; the plan will say so.
  if (draft.image !== '' && !data.some(({ value }) => value === draft.image))
    data.push({ value: draft.image, label: draft.image })
  return (
    <>
      <Select
        label="Image"
        placeholder="The one assigned to each machine"
        data={data}
        value={draft.image === '' ? null : draft.image}
        onChange={(image) => set({ image: image ?? '' })}
        searchable
        clearable
        nothingFoundMessage="No image of that name"
        error={mistakes.image}
      />
      {draft.image === '' && <AssignedImages draft={draft} machines={machines} />}
      {draft.macs.length === 1 && (
        <TextInput
          label="Hostname"
          placeholder="As the machine's settings say"
          value={draft.hostname}
          onChange={(event) => set({ hostname: event.currentTarget.value })}
          error={mistakes.hostname}
          autoComplete="off"
          spellCheck={false}
        />
      )}
      <DeployOptions draft={draft} set={set} />
    </>
  )
}

function AssignedImages({ draft, machines }: Pick<DeployFieldsProps, 'draft' | 'machines'>) {
  const chosen = machines.filter(({ mac }) => draft.macs.includes(mac))
  const without = chosen.filter(({ image }) => image === undefined)
  if (without.length === 0) return null
  return (
    <Text size="sm">
      {without.length === 1 && chosen.length === 1
        ? 'No image is assigned to this machine: choose one.'
        : `No image is assigned to ${without.length} of these machines: choose one, or they are left out.`}
    </Text>
  )
}

function DeployOptions({ draft, set }: Pick<PlanFieldsProps, 'draft' | 'set'>) {
  return (
    <Fieldset legend="Options">
      <Stack gap="sm">
        <Checkbox
          label="Grow the root file system to the end of the disk"
          checked={draft.grow}
          onChange={(event) => set({ grow: event.currentTarget.checked })}
        />
        <Checkbox
          label="New host keys and machine id"
          description="Off: the machine becomes an exact copy, for one that takes over from another"
          checked={draft.identity === 'reset'}
          onChange={(event) => set({ identity: event.currentTarget.checked ? 'reset' : 'keep' })}
        />
        <Checkbox
          label="Zero free space too"
          description="Slower; nothing that was on the disk before can be read from it"
          checked={draft.zeroUnused}
          onChange={(event) => set({ zeroUnused: event.currentTarget.checked })}
        />
        <Checkbox
          label="Deploy even if the image seems unable to boot here"
          checked={draft.force}
          onChange={(event) => set({ force: event.currentTarget.checked })}
        />
        <Checkbox
          label="Allow a disk smaller than the image"
          description="If the partitions of the image end before the disk does; the rest of the image is left out"
          checked={draft.allowShrink}
          onChange={(event) => set({ allowShrink: event.currentTarget.checked })}
        />
        <AfterField draft={draft} set={set} />
      </Stack>
    </Fieldset>
  )
}

function AfterField({ draft, set }: Pick<PlanFieldsProps, 'draft' | 'set'>) {
  return (
    <Radio.Group
      label="Afterwards"
      value={draft.after}
      onChange={(after) => set({ after: after === 'poweroff' ? 'poweroff' : 'reboot' })}
    >
      <Stack gap={6} mt={6}>
        <Radio value="reboot" label="Restart into the new system" />
        <Radio value="poweroff" label="Power off" />
      </Stack>
    </Radio.Group>
  )
}
