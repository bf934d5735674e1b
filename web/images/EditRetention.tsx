import { NumberInput, Radio, Stack, Text } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { versionsText, type Retention } from '#protocol/image/image-version.ts'
import { keys } from '../api/keys.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { FormModal } from '../components/FormModal.tsx'
import { showDone } from '../components/show.ts'
import { retentionQuery, saveRetention, type Rule } from './version-queries.ts'

type Choice = 'default' | 'all' | 'some'

const CHOICES: { value: Choice; label: string }[] = [
  { value: 'default', label: 'As the settings of the server say' },
  { value: 'all', label: 'All of them, for ever' },
  { value: 'some', label: 'The newest, and those young enough' },
]

/** Which versions of an image stay, and what would go: nothing is removed before that was shown. */
export function EditRetention({ name, onClose }: { name: string; onClose: () => void }) {
  const { data, error } = useQuery(retentionQuery(name, undefined))
  if (!data)
    return (
      <FormModal
        title="What is kept"
        action="Save"
        isReady={false}
        onClose={onClose}
        onSubmit={nothing}
      >
        <ErrorAlert error={error} />
      </FormModal>
    )
  return <RetentionForm name={name} present={data} onClose={onClose} />
}

async function nothing(): Promise<void> {
  // nothing was loaded that could be saved
}

interface RetentionFormProps {
  name: string
  present: Retention
  onClose: () => void
}

function RetentionForm({ name, present, onClose }: RetentionFormProps) {
  const cache = useQueryClient()
  const [choice, setChoice] = useState<Choice>(choiceOf(present))
  const [versions, setVersions] = useState<number | null>(present.keepVersions ?? 5)
  const [days, setDays] = useState<number | null>(present.keepDays)
  const rule = chosenRule(choice, versions, days)
  const { data: preview, error } = useQuery({
    ...retentionQuery(name, rule),
    enabled: rule !== undefined,
  })
  const removes = rule !== undefined && preview !== undefined && preview.removed.length > 0

  async function save(): Promise<void> {
    if (rule === undefined) return
    const saved = await saveRetention(name, rule)
    await cache.invalidateQueries({ queryKey: keys.image(name) })
    await cache.invalidateQueries({ queryKey: keys.images })
    const { removed } = saved
    showDone(removed.length > 0 ? `Removed: ${versionsText(removed)}` : 'Nothing was removed')
  }

  return (
    <FormModal
      title="What is kept"
      action={removes ? 'Save and remove' : 'Save'}
      color={removes ? 'red' : undefined}
      isReady={rule !== undefined && preview !== undefined}
      onClose={onClose}
      onSubmit={save}
    >
      <Text size="sm">
        What is promoted, assigned by its number, linked or used by an active run always stays.
      </Text>
      <Radio.Group
        label="Versions of this image"
        value={choice}
        onChange={(value) => setChoice(value as Choice)}
      >
        <Stack gap="xs" mt="xs">
          {CHOICES.map(({ value, label }) => (
            <Radio
              key={value}
              value={value}
              label={label}
              data-autofocus={value === choice || undefined}
            />
          ))}
        </Stack>
      </Radio.Group>
      {choice === 'some' && (
        <>
          <NumberInput
            label="The newest so many"
            min={1}
            max={100_000}
            allowDecimal={false}
            value={versions ?? ''}
            error={rule === undefined && 'Say how many, or for how long, or both'}
            onChange={(value) => setVersions(numberOf(value))}
          />
          <NumberInput
            label="Those younger than so many days"
            min={1}
            max={100_000}
            allowDecimal={false}
            value={days ?? ''}
            onChange={(value) => setDays(numberOf(value))}
          />
        </>
      )}
      <ErrorAlert error={error} />
      {rule !== undefined && preview && <Outcome {...preview} />}
    </FormModal>
  )
}

function Outcome({ keepVersions, keepDays, isDefault, removed }: Retention) {
  return (
    <Text size="sm" role="status" fw={500}>
      {isDefault && `The settings keep ${keptWords(keepVersions, keepDays)}. `}
      {removed.length > 0
        ? `Would go at once: ${versionsText(removed)}`
        : 'Nothing would go at the moment'}
    </Text>
  )
}

function keptWords(versions: number | null, days: number | null): string {
  const parts = [
    versions !== null && (versions === 1 ? 'the newest one' : `the newest ${versions}`),
    days !== null && `those younger than ${days === 1 ? 'a day' : `${days} days`}`,
  ]
  return parts.filter(Boolean).join(' and ') || 'all of them'
}

/** Undefined while nothing is said that could be saved. */
function chosenRule(
  choice: Choice,
  keepVersions: number | null,
  keepDays: number | null,
): Rule | 'default' | undefined {
  if (choice === 'default') return 'default'
  if (choice === 'all') return { keepVersions: null, keepDays: null }
  return keepVersions === null && keepDays === null ? undefined : { keepVersions, keepDays }
}

function choiceOf({ isDefault, keepVersions, keepDays }: Retention): Choice {
  if (isDefault) return 'default'
  return keepVersions === null && keepDays === null ? 'all' : 'some'
}

function numberOf(value: number | string): number | null {
  return typeof value === 'number' && value >= 1 ? value : null
}
