import { Button, Group, MultiSelect, Select } from '@mantine/core'
import { useMemo } from 'react'
import type { Machine } from '#protocol/machine/machine.ts'
import { stateText } from '../components/StateBadge.tsx'
import {
  countStates,
  filterChoices,
  hasFilter,
  NO_IMAGE,
  STATES_BY_URGENCY,
  type MachinesView,
} from './machines-view.ts'
import { SearchField } from './SearchField.tsx'

interface MachinesToolbarProps {
  machines: Machine[]
  view: MachinesView
  onChange: (changes: Partial<MachinesView>) => void
}

const NO_FILTER = { q: '', states: [], image: '', tag: '', locked: undefined }

export function MachinesToolbar({ machines, view, onChange }: MachinesToolbarProps) {
  const counts = useMemo(() => countStates(machines), [machines])
  const choices = useMemo(() => filterChoices(machines), [machines])
  const images = [
    ...choices.images.map((image) => ({ value: image, label: image })),
    { value: NO_IMAGE, label: 'No image' },
  ]
  return (
    <Group gap="xs" mb="sm" align="flex-start">
      <SearchField q={view.q} onSearch={(q) => onChange({ q })} />
      <MultiSelect
        aria-label="States"
        placeholder={view.states.length ? undefined : 'State'}
        data={STATES_BY_URGENCY.map((state) => ({
          value: state,
          label: `${stateText(state)} (${counts.get(state) ?? 0})`,
        }))}
        value={view.states}
        onChange={(states) =>
          onChange({ states: STATES_BY_URGENCY.filter((state) => states.includes(state)) })
        }
        clearable
        clearButtonProps={{ 'aria-label': 'Every state' }}
        style={{ flex: '1 1 140px' }}
      />
      <Select
        aria-label="Image"
        placeholder="Image"
        data={images}
        value={view.image || null}
        onChange={(image) => onChange({ image: image ?? '' })}
        clearable
        clearButtonProps={{ 'aria-label': 'Every image' }}
        searchable
        style={{ flex: '1 1 120px' }}
      />
      <Select
        aria-label="Tag"
        placeholder="Tag"
        data={choices.tags}
        value={view.tag || null}
        onChange={(tag) => onChange({ tag: tag ?? '' })}
        clearable
        clearButtonProps={{ 'aria-label': 'Every tag' }}
        searchable
        style={{ flex: '1 1 105px' }}
      />
      <Select
        aria-label="Lock"
        placeholder="Lock"
        data={[
          { value: 'true', label: 'Locked' },
          { value: 'false', label: 'Not locked' },
        ]}
        value={view.locked === undefined ? null : String(view.locked)}
        onChange={(locked) => onChange({ locked: locked === null ? undefined : locked === 'true' })}
        clearable
        clearButtonProps={{ 'aria-label': 'Locked or not' }}
        visibleFrom="sm"
        style={{ flex: '1 1 105px' }}
      />
      {hasFilter(view) && (
        <Button variant="subtle" onClick={() => onChange(NO_FILTER)}>
          Show all
        </Button>
      )}
    </Group>
  )
}
