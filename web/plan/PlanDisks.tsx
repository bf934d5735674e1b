import { Stack, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import type { Plan, PlanItem } from '#protocol/run/plan.ts'
import { DiskBar } from '../components/DiskBar.tsx'
import { formatBytes } from '../components/format.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { imageQuery } from '../images/image-queries.ts'
import { drawnPartition } from '../machine/drawn-partition.ts'
import { diskAfterDeploy } from './disk-after.ts'

type Present = NonNullable<PlanItem['present']>

/** The target as it is and as it will be, and the disks that stay as they are. */
export function PlanDisks({ item, plan }: { item: PlanItem; plan: Plan }) {
  const { target, present, untouched, inventoryAt } = item
  if (!target) return null
  return (
    <Stack gap="sm">
      {present && (
        <div>
          <Caption>
            Now{nowText(present)}, as of <RelativeTime at={inventoryAt} />
          </Caption>
          <DiskBar
            sizeBytes={target.sizeBytes}
            partitions={present.partitions.map(drawnPartition)}
            fileSystem={present.fileSystem?.type}
            isKnown={present.layoutError === undefined}
            label={`Disk ${target.path} now`}
          />
        </div>
      )}
      {plan.workflow === 'deploy' && <After item={item} />}
      {plan.workflow === 'wipe' && (
        <div>
          <Caption>Afterwards: empty</Caption>
          <DiskBar sizeBytes={target.sizeBytes} partitions={[]} label="Disk afterwards" />
        </div>
      )}
      {untouched.length > 0 && (
        <Text size="sm" c="dimmed">
          Not touched: {untouched.map(diskText).join('; ')}
        </Text>
      )}
    </Stack>
  )
}

function After({ item: { fit, image: name, hostname } }: { item: PlanItem }) {
  // By its reference: another version may hold another system in other partitions.
  const { data } = useQuery({ ...imageQuery(name ?? ''), enabled: fit !== null && name !== null })
  if (!fit) return null
  const info = data?.image.info ?? {}
  const after = diskAfterDeploy(info, fit)
  const os = info.operatingSystem
  return (
    <div>
      <Caption>
        Afterwards: {name}
        {os && ` (${os})`}, {formatBytes(fit.imageBytes)} on {formatBytes(fit.diskBytes)}
        {hostname && `, called ${hostname}`}
      </Caption>
      <DiskBar
        sizeBytes={fit.diskBytes}
        partitions={after.partitions}
        fileSystem={after.isOpaque ? (name ?? 'image') : undefined}
        label="Disk afterwards"
      />
      <Text size="sm" c="dimmed" mt={4}>
        {growthText(fit)}
      </Text>
    </div>
  )
}

function growthText({ grows, imageBytes, diskBytes }: NonNullable<PlanItem['fit']>): string {
  if (imageBytes > diskBytes)
    return `The image is ${formatBytes(imageBytes - diskBytes)} larger than the disk.`
  if (grows)
    return `Partition ${grows.partition} grows from ${formatBytes(grows.fromBytes)} to ${formatBytes(grows.toBytes)}.`
  const rest = diskBytes - imageBytes
  return rest === 0 ? 'The image fills the disk.' : `${formatBytes(rest)} stay free: nothing grows.`
}

function Caption({ children }: { children: React.ReactNode }) {
  return (
    <Text size="sm" fw={600} mb={4}>
      {children}
    </Text>
  )
}

function diskText({ path, model, serial, sizeBytes }: PlanItem['untouched'][number]): string {
  return [model ?? path, serial && `serial ${serial}`, formatBytes(sizeBytes)]
    .filter(Boolean)
    .join(', ')
}

function nowText({ operatingSystem, layoutError }: Present): string {
  if (operatingSystem !== undefined) return `: ${operatingSystem}`
  return layoutError === undefined ? '' : ': not known'
}
