import { Radio, Skeleton, Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import type { Disk } from '#protocol/machine/inventory.ts'
import { formatBytes } from '../components/format.ts'
import { machineQuery } from '../machine/machine-queries.ts'
import type { PlanFieldsProps } from './plan-fields.ts'

/** Which disk of the one machine: by its serial, which stays the same wherever it is plugged in. */
export function DiskField({ draft, set }: PlanFieldsProps) {
  const { data: machine } = useQuery(machineQuery(draft.macs[0] ?? ''))
  if (!machine) return <Skeleton height={48} />
  const disks = machine.inventory?.disks ?? []
  const named = disks.filter(({ serial }) => serial !== undefined)
  return (
    <Radio.Group
      aria-label="Disk"
      value={draft.diskSerial}
      onChange={(diskSerial) => set({ diskSerial })}
    >
      <Stack gap={6}>
        <Radio
          value=""
          label={machine.disk ? "As the machine's settings say" : 'The only candidate'}
          description={
            disks.length > 1 && !machine.disk
              ? 'Without a choice, a machine with two candidates is refused'
              : undefined
          }
        />
        {named.map((disk) => (
          <Radio key={disk.path} value={disk.serial ?? ''} label={<DiskLabel disk={disk} />} />
        ))}
      </Stack>
    </Radio.Group>
  )
}

function DiskLabel({ disk }: { disk: Disk }) {
  return (
    <>
      {disk.model ?? disk.path}, {formatBytes(disk.sizeBytes)}
      <Text span size="sm" c="dimmed">
        {' '}
        serial {disk.serial}, {disk.path}
        {disk.busy !== undefined && ', in use'}
      </Text>
    </>
  )
}
