import { Badge, Grid, Group, Skeleton, Stack, Text } from '@mantine/core'
import { IconLock } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useParams } from 'react-router'
import { parseMac } from '#protocol/mac.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { Mac } from '../components/Mac.tsx'
import { PageTitle } from '../components/PageTitle.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { StateBadge } from '../components/StateBadge.tsx'
import { BootTimeline } from './BootTimeline.tsx'
import { DangerZone } from './DangerZone.tsx'
import { MachineActions } from './MachineActions.tsx'
import { MachineDisks } from './MachineDisks.tsx'
import { MachineInventory } from './MachineInventory.tsx'
import { MachineLeases } from './MachineLeases.tsx'
import { machineQuery } from './machine-queries.ts'
import { MachineRuns } from './MachineRuns.tsx'
import { MachineScript } from './MachineScript.tsx'
import { MachineSettings } from './MachineSettings.tsx'
import { ActiveRun } from './ActiveRun.tsx'
import { Section } from './Section.tsx'

export function MachinePage() {
  const { mac: text = '' } = useParams()
  const mac = macOf(text)
  const { data: machine, error, refetch } = useQuery(machineQuery(mac))
  if (error && !machine) {
    return (
      <>
        <PageTitle title={text} back={{ to: '/machines', label: 'Machines' }} />
        <ErrorAlert error={error} onRetry={() => void refetch()} />
      </>
    )
  }
  if (!machine) return <Skeleton height={480} role="status" aria-label="Loading the machine" />
  return <MachineView key={machine.mac} machine={machine} />
}

/** Any spelling may be in the address; what is none the server refuses with its own words. */
function macOf(text: string): string {
  try {
    return parseMac(text)
  } catch {
    return text
  }
}

function MachineView({ machine }: { machine: Machine }) {
  return (
    <>
      <PageTitle
        title={machine.name}
        aside={
          <>
            <StateBadge state={machine.state} />
            {machine.locked && (
              <Badge
                variant="outline"
                color="gray"
                tt="none"
                leftSection={<IconLock size={13} aria-hidden />}
              >
                Locked
              </Badge>
            )}
          </>
        }
        back={{ to: '/machines', label: 'Machines' }}
        subtitle={<Subtitle machine={machine} />}
        actions={<MachineActions machine={machine} />}
      />
      <Grid>
        <Grid.Col span={{ base: 12, lg: 8 }}>
          <Stack>
            {machine.run && <ActiveRun id={machine.run.id} />}
            <Section title="Disks">
              <MachineDisks machine={machine} />
            </Section>
            <Section title="Inventory">
              <MachineInventory machine={machine} />
            </Section>
            <MachineRuns mac={machine.mac} />
          </Stack>
        </Grid.Col>
        <Grid.Col span={{ base: 12, lg: 4 }}>
          <Stack>
            <Section title="Boot">
              <BootTimeline machine={machine} />
            </Section>
            <MachineSettings machine={machine} />
            <MachineLeases mac={machine.mac} />
            <MachineScript mac={machine.mac} />
            <DangerZone machine={machine} />
          </Stack>
        </Grid.Col>
      </Grid>
    </>
  )
}

function Subtitle({ machine }: { machine: Machine }) {
  const { manufacturer, product, serial, mac, macs } = machine
  const model = [manufacturer, product].filter(Boolean).join(' ')
  return (
    <Group gap="2px 16px">
      <Mac mac={mac} />
      {macs.length > 1 && <Text inherit>and {macs.length - 1} more</Text>}
      {model && <Text inherit>{model}</Text>}
      {serial && <Text inherit>serial {serial}</Text>}
      <Text inherit>
        last seen <RelativeTime at={machine.lastSeenAt} />
      </Text>
    </Group>
  )
}
