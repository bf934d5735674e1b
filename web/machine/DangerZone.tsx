import { Button, Group, Stack, Text } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Link, useNavigate } from 'react-router'
import type { Machine } from '#protocol/machine/machine.ts'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { ConfirmTyped } from '../components/ConfirmTyped.tsx'
import { showDone } from '../components/show.ts'
import { planPath } from '../plan/plan-query.ts'
import { forgetMachine } from './machine-queries.ts'
import { Section } from './Section.tsx'

/** What cannot be undone. Wiping goes by a plan, which says what is lost. */
export function DangerZone({ machine }: { machine: Machine }) {
  const mayOperate = useMay('operator')
  const [isAsking, setAsking] = useState(false)
  const navigate = useNavigate()
  const cache = useQueryClient()
  if (!mayOperate) return null
  const { mac, name, locked, run } = machine

  async function forget(): Promise<void> {
    await forgetMachine(mac)
    showDone(`${name} is forgotten`)
    // The live event may still be under way; the list must not show it until then.
    cache.setQueryData<Machine[]>(keys.machines, (list) =>
      list?.filter((other) => other.mac !== mac),
    )
    void navigate('/machines')
  }

  return (
    <Section title="Danger zone">
      <Stack gap="sm">
        <Group justify="space-between" gap="xs">
          <Text size="sm" flex="1 1 12rem">
            {wipeText(machine)}
          </Text>
          {!locked && !run && (
            <Button
              component={Link}
              to={planPath({ workflow: 'wipe', macs: [mac] })}
              color="red"
              variant="outline"
              size="xs"
            >
              Plan a wipe
            </Button>
          )}
        </Group>
        <Group justify="space-between" gap="xs">
          <Text size="sm" flex="1 1 12rem">
            {run
              ? 'Forgetting it is possible once its run is over.'
              : 'Forget the machine, its settings and its runs. Its disks stay as they are.'}
          </Text>
          {!run && (
            <Button color="red" variant="outline" size="xs" onClick={() => setAsking(true)}>
              Forget it
            </Button>
          )}
        </Group>
      </Stack>
      <ConfirmTyped
        opened={isAsking}
        onClose={() => setAsking(false)}
        title={`Forget ${name}?`}
        confirmation={name}
        confirmationIs="the name"
        action="Forget the machine"
        onConfirm={forget}
      >
        Its name, image, tags, disk hints and network settings are lost, and so are its runs with
        their receipts and logs. If it boots from the network again, it appears as a new machine.
      </ConfirmTyped>
    </Section>
  )
}

function wipeText({ locked, run }: Machine): string {
  if (locked) return 'The machine is locked: no run may work on it until it is unlocked.'
  if (run) return 'Its disks can be wiped once its run is over.'
  return 'Wipe a disk: everything on it is lost. A plan shows what that is before anything happens.'
}
