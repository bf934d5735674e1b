import {
  Alert,
  Button,
  Fieldset,
  Group,
  Modal,
  Select,
  SimpleGrid,
  Skeleton,
  Stack,
  Switch,
  TagsInput,
  Text,
  TextInput,
} from '@mantine/core'
import { IconUsers } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState, type FormEvent } from 'react'
import type { Machine } from '#protocol/machine/machine.ts'
import { imagesQuery } from '../api/images.ts'
import { imageChoices } from '../images/image-choices.ts'
import { keys } from '../api/keys.ts'
import { RequestError } from '../api/request-error.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { formatBytes } from '../components/format.ts'
import { showDone } from '../components/show.ts'
import { useReturnFocus } from '../components/use-return-focus.ts'
import { formOf, mistakesOf, patchOf, type MachineForm } from './machine-form.ts'
import { fetchForEdit, saveMachine, type EditedMachine } from './machine-queries.ts'

interface EditMachineProps {
  mac: string
  onClose: () => void
}

/** Edits the settings of a machine. What another person saved meanwhile is never overwritten. */
export function EditMachine({ mac, onClose }: EditMachineProps) {
  useReturnFocus()
  const { data, error, refetch, dataUpdatedAt } = useQuery({
    queryKey: ['edit-machine', mac],
    queryFn: () => fetchForEdit(mac),
    // Read anew each time, and not under the hands of who is typing, also when all else is, after a lost link.
    staleTime: 'static',
    gcTime: 0,
  })
  return (
    <Modal opened onClose={onClose} title="Edit the machine" size="lg">
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!data && !error && <Skeleton height={420} role="status" aria-label="Loading the settings" />}
      {data && (
        <EditForm
          key={dataUpdatedAt}
          edited={data}
          onClose={onClose}
          onReload={() => void refetch()}
        />
      )}
    </Modal>
  )
}

interface EditFormProps {
  edited: EditedMachine
  onClose: () => void
  onReload: () => void
}

function EditForm({ edited: { machine, etag }, onClose, onReload }: EditFormProps) {
  const cache = useQueryClient()
  const [form, setForm] = useState(() => formOf(machine))
  const [isTried, setTried] = useState(false)
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const mistakes = isTried ? mistakesOf(form) : {}
  const isOutdated = error instanceof RequestError && error.status === 412
  const set = (changes: Partial<MachineForm>) => setForm((known) => ({ ...known, ...changes }))

  async function save(event: FormEvent): Promise<void> {
    event.preventDefault()
    setTried(true)
    if (Object.keys(mistakesOf(form)).length > 0 || isBusy) return
    const changes = patchOf(form, machine)
    if (Object.keys(changes).length === 0) return onClose()
    setBusy(true)
    setError(undefined)
    try {
      const saved = await saveMachine(machine.mac, changes, etag)
      cache.setQueryData<Machine>(keys.machine(machine.mac), saved)
      showDone(`${saved.name} is saved`)
      onClose()
    } catch (thrown) {
      setError(thrown)
    } finally {
      setBusy(false)
    }
  }

  return (
    <form onSubmit={(event) => void save(event)} noValidate>
      <Stack>
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <TextInput
            label="Name"
            required
            data-autofocus
            value={form.name}
            onChange={(event) => set({ name: event.currentTarget.value })}
            error={mistakes.name}
          />
          <TextInput
            label="Hostname"
            description="Written into the deployed system"
            inputWrapperOrder={['label', 'input', 'description', 'error']}
            placeholder={form.name}
            value={form.hostname}
            onChange={(event) => set({ hostname: event.currentTarget.value })}
            error={mistakes.hostname}
          />
        </SimpleGrid>
        <ImageSelect value={form.image} onChange={(image) => set({ image })} />
        <TagsInput
          label="Tags"
          placeholder={form.tags.length === 0 ? 'rack3, gpu' : ''}
          value={form.tags}
          onChange={(tags) => set({ tags })}
          splitChars={[',', ' ']}
        />
        <NetworkFields form={form} mistakes={mistakes} set={set} />
        <DiskFields form={form} mistakes={mistakes} set={set} machine={machine} />
        <Switch
          label="Locked: no run may work on this machine"
          checked={form.locked}
          onChange={(event) => set({ locked: event.currentTarget.checked })}
        />
        {isOutdated ? <Outdated onReload={onReload} /> : <ErrorAlert error={error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <BusyButton type="submit" isBusy={isBusy} isOff={isOutdated}>
            Save
          </BusyButton>
        </Group>
      </Stack>
    </form>
  )
}

function Outdated({ onReload }: { onReload: () => void }) {
  return (
    <Alert
      color="yellow"
      icon={<IconUsers />}
      title="Someone else changed this machine"
      role="alert"
    >
      <Stack gap="xs" align="flex-start">
        <Text size="sm">
          It was saved after you opened it, so nothing of yours was saved. Load its present settings
          and make your change again.
        </Text>
        <Button size="xs" variant="default" onClick={onReload}>
          Load the present settings
        </Button>
      </Stack>
    </Alert>
  )
}

interface ImageSelectProps {
  value: string | null
  onChange: (image: string | null) => void
}

function ImageSelect({ value, onChange }: ImageSelectProps) {
  const { data: images = [] } = useQuery(imagesQuery)
  const data = imageChoices(images).map((choice) => ({ value: choice.value, label: choice.label }))
  // Another version, or an image that was deleted, is still what the machine says.
  if (value !== null && !data.some((choice) => choice.value === value))
    data.push({ value, label: value })
  return (
    <Select
      label="Image"
      description="What it should run; assigning it starts nothing"
      inputWrapperOrder={['label', 'input', 'description', 'error']}
      placeholder="None"
      data={data}
      value={value}
      onChange={onChange}
      searchable
      clearable
      nothingFoundMessage="No image of that name"
    />
  )
}

interface FieldsProps {
  form: MachineForm
  mistakes: Partial<Record<keyof MachineForm, string>>
  set: (changes: Partial<MachineForm>) => void
}

function NetworkFields({ form, mistakes, set }: FieldsProps) {
  return (
    <Fieldset legend="Network of the deployed system">
      <SimpleGrid cols={{ base: 1, xs: 3 }}>
        <TextInput
          label="Address"
          placeholder="by DHCP"
          value={form.address}
          onChange={(event) => set({ address: event.currentTarget.value })}
          error={mistakes.address}
        />
        <TextInput
          label="Gateway"
          value={form.gateway}
          onChange={(event) => set({ gateway: event.currentTarget.value })}
          error={mistakes.gateway}
        />
        <TextInput
          label="Nameservers"
          value={form.nameservers}
          onChange={(event) => set({ nameservers: event.currentTarget.value })}
          error={mistakes.nameservers}
        />
      </SimpleGrid>
    </Fieldset>
  )
}

function DiskFields({ form, mistakes, set, machine }: FieldsProps & { machine: Machine }) {
  const disks = machine.inventory?.disks ?? []
  const named = disks.filter(({ serial }) => serial !== undefined)
  return (
    <Fieldset legend="Disk that runs work on">
      <Stack gap="xs">
        <Text size="sm" c="dimmed">
          Needed where a machine has more than one. All that is given must match.
        </Text>
        {named.length > 0 && (
          <Group gap="xs">
            {named.map((disk) => (
              <Button
                key={disk.path}
                size="xs"
                variant={form.diskSerial === disk.serial ? 'filled' : 'default'}
                aria-pressed={form.diskSerial === disk.serial}
                onClick={() => set({ diskSerial: disk.serial ?? '' })}
              >
                {disk.model ?? disk.path}, {formatBytes(disk.sizeBytes)}
              </Button>
            ))}
          </Group>
        )}
        <SimpleGrid cols={{ base: 1, xs: 2 }}>
          <TextInput
            label="Serial"
            value={form.diskSerial}
            onChange={(event) => set({ diskSerial: event.currentTarget.value })}
          />
          <TextInput
            label="WWN"
            value={form.diskWwn}
            onChange={(event) => set({ diskWwn: event.currentTarget.value })}
          />
          <TextInput
            label="Path"
            placeholder="/dev/nvme0n1"
            value={form.diskPath}
            onChange={(event) => set({ diskPath: event.currentTarget.value })}
            error={mistakes.diskPath}
          />
          <TextInput
            label="Model"
            value={form.diskModel}
            onChange={(event) => set({ diskModel: event.currentTarget.value })}
          />
        </SimpleGrid>
      </Stack>
    </Fieldset>
  )
}
