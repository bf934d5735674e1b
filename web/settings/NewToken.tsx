import { Checkbox, Group, Select, TextInput } from '@mantine/core'
import { useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { Role, TokenScope } from '#protocol/account.ts'
import { useMay } from '../api/session.ts'
import { FormModal } from '../components/FormModal.tsx'
import { ROLE_CHOICES, SCOPE_TEXTS } from './account-texts.ts'
import { createToken, tokensKey } from './settings-queries.ts'

const SCOPES = Object.keys(SCOPE_TEXTS) as TokenScope[]
const LIFETIMES = [
  { value: '7', label: 'in 7 days' },
  { value: '30', label: 'in 30 days' },
  { value: '90', label: 'in 90 days' },
  { value: '365', label: 'in a year' },
  { value: 'never', label: 'never' },
]

interface NewTokenProps {
  onClose: () => void
  onCreated: (secret: string) => void
}

export function NewToken({ onClose, onCreated }: NewTokenProps) {
  const cache = useQueryClient()
  const may = { viewer: true, operator: useMay('operator'), admin: useMay('admin') }
  const roles = ROLE_CHOICES.filter(({ value }) => may[value])
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>(roles.at(-1)?.value ?? 'viewer')
  const [lifetime, setLifetime] = useState('90')
  const [scopes, setScopes] = useState<string[]>(SCOPES)

  async function create(): Promise<void> {
    const isWhole = scopes.length === SCOPES.length
    const secret = await createToken({
      name: name.trim(),
      role,
      expiresInDays: lifetime === 'never' ? null : Number(lifetime),
      ...(!isWhole && { scopes: scopes as TokenScope[] }),
    })
    await cache.invalidateQueries({ queryKey: tokensKey })
    onCreated(secret)
  }

  return (
    <FormModal
      title="Create a token"
      action="Create"
      isReady={name.trim() !== ''}
      onClose={onClose}
      onSubmit={create}
    >
      <TextInput
        label="What it is for"
        placeholder="nightly re-imaging"
        data-autofocus
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <Select
        label="Role"
        data={roles}
        value={role}
        allowDeselect={false}
        onChange={(value) => setRole(value as Role)}
      />
      {role !== 'viewer' && (
        <Checkbox.Group label="May change" value={scopes} onChange={setScopes}>
          <Group mt={4}>
            {SCOPES.map((scope) => (
              <Checkbox key={scope} value={scope} label={SCOPE_TEXTS[scope]} />
            ))}
          </Group>
        </Checkbox.Group>
      )}
      <Select
        label="Ends"
        data={LIFETIMES}
        value={lifetime}
        allowDeselect={false}
        onChange={(value) => setLifetime(value ?? '90')}
      />
    </FormModal>
  )
}
