import { List, Text } from '@mantine/core'
import type { Machine } from '#protocol/machine/machine.ts'
import { ConfirmTyped } from '../components/ConfirmTyped.tsx'
import { countOf } from '../components/format.ts'
import { deleteMachines } from './bulk.ts'
import { showOutcome } from './show-outcome.ts'

interface DeleteMachinesProps {
  opened: boolean
  onClose: () => void
  machines: Machine[]
}

const SHOWN_NAMES = 6

export function DeleteMachines({ opened, onClose, machines }: DeleteMachinesProps) {
  const [only] = machines
  if (!only) return null
  const isOne = machines.length === 1
  const count = countOf(machines.length, 'machine')
  return (
    <ConfirmTyped
      opened={opened}
      onClose={onClose}
      title={`Delete ${count}`}
      confirmation={isOne ? (only.hostname ?? only.name) : String(machines.length)}
      confirmationIs={isOne ? 'the hostname' : 'the number of machines'}
      action={`Delete ${count}`}
      onConfirm={async () => {
        showOutcome(await deleteMachines(machines.map(({ mac }) => mac)), 'deleted')
      }}
    >
      <Text size="sm">
        Stampede forgets them with their settings, runs and receipts. Their disks stay as they are,
        and a machine that boots from the network appears again.
      </Text>
      <List size="sm" mt="xs">
        {machines.slice(0, SHOWN_NAMES).map(({ mac, name }) => (
          <List.Item key={mac}>
            {name} ({mac})
          </List.Item>
        ))}
        {machines.length > SHOWN_NAMES && (
          <List.Item>and {machines.length - SHOWN_NAMES} more</List.Item>
        )}
      </List>
    </ConfirmTyped>
  )
}
