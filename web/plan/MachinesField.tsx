import { MultiSelect } from '@mantine/core'
import type { Machine } from '#protocol/machine/machine.ts'
import { countOf } from '../components/format.ts'
import type { PlanFieldsProps } from './plan-fields.ts'

/** About six lines; of more machines the chosen ones are scrolled, so that what else is asked for stays near. */
const CHOSEN_PIXELS = 200
/** A list to choose from that is longer than this is searched, not scrolled. */
const SHOWN_CHOICES = 50

interface MachinesFieldProps extends PlanFieldsProps {
  machines: readonly Machine[]
}

/** Which machines, by name or MAC. */
export function MachinesField({ draft, mistakes, set, machines }: MachinesFieldProps) {
  const known = new Set(machines.map(({ mac }) => mac))
  // Of an address that somebody wrote by hand; the plan will say that there is no such machine.
  const unknown = draft.macs.filter((mac) => !known.has(mac))
  const data = [
    ...machines.map(({ mac, name }) => ({ value: mac, label: labelOf({ mac, name }) })),
    ...unknown.map((mac) => ({ value: mac, label: mac })),
  ]
  return (
    <MultiSelect
      label="Machines"
      description={draft.macs.length > 3 ? countOf(draft.macs.length, 'machine') : undefined}
      placeholder={draft.macs.length === 0 ? 'Search by name or MAC' : ''}
      data={data}
      value={draft.macs}
      onChange={(macs) => set({ macs })}
      searchable
      openOnFocus={false} // it would cover what is missing here
      clearable
      hidePickedOptions
      limit={SHOWN_CHOICES}
      nothingFoundMessage="No machine like that"
      error={mistakes.macs}
      styles={{ pillsList: { maxHeight: CHOSEN_PIXELS, overflowY: 'auto' } }}
      clearButtonProps={{ 'aria-label': 'Choose none' }}
    />
  )
}

function labelOf({ mac, name }: Pick<Machine, 'mac' | 'name'>): string {
  return name === mac ? mac : `${name} (${mac})`
}
