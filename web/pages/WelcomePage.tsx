import { Anchor, Button, Code, List, PasswordInput, Stack, Text, TextInput } from '@mantine/core'
import { useForm } from '@mantine/form'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Navigate, useNavigate } from 'react-router'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'
import { setupQuery } from '../api/setup.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { useDocumentTitle } from '../components/use-document-title.ts'
import { EntryCard } from './EntryCard.tsx'

/** As the server checks it (`protocol/account.ts`). */
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._@-]{0,63}$/
const LEAST_PASSWORD_CHARACTERS = 10

/** The first run: who has the admin token makes the first account. */
export function WelcomePage() {
  useDocumentTitle('Welcome')
  const { data: setup, error } = useQuery(setupQuery)
  const [token, setToken] = useState<string>()
  if (setup && !setup.needsSetup) return <Navigate to="/machines" replace />
  if (token === undefined)
    return (
      <EntryCard title="Welcome" subtitle="First prove that this server is yours">
        <ErrorAlert error={error} />
        <TokenForm onToken={setToken} />
      </EntryCard>
    )
  return (
    <EntryCard title="Your account" subtitle="It will be an administrator; others come later">
      <AccountForm adminToken={token} onBack={() => setToken(undefined)} />
    </EntryCard>
  )
}

function TokenForm({ onToken }: { onToken: (token: string) => void }) {
  const form = useForm({
    mode: 'uncontrolled',
    initialValues: { token: '' },
    validate: { token: (token) => (token.trim() ? null : 'Paste the admin token') },
  })
  return (
    <form onSubmit={form.onSubmit(({ token }) => onToken(token.trim()))}>
      <Stack>
        <PasswordInput
          label="Admin token"
          autoComplete="off"
          autoFocus
          key={form.key('token')}
          {...form.getInputProps('token')}
        />
        <div>
          <Text size="sm" c="dimmed">
            The server printed it when it first started. It is also
          </Text>
          <List size="sm" c="dimmed">
            <List.Item>
              in the file <Code>admin-token</Code> of its data folder
            </List.Item>
            <List.Item>
              or what you set as <Code>STAMPEDE_ADMIN_TOKEN</Code>
            </List.Item>
          </List>
        </div>
        <Button type="submit" fullWidth>
          Go on
        </Button>
      </Stack>
    </form>
  )
}

interface AccountFormProps {
  adminToken: string
  onBack: () => void
}

function AccountForm({ adminToken, onBack }: AccountFormProps) {
  const navigate = useNavigate()
  const cache = useQueryClient()
  const [error, setError] = useState<unknown>()
  const form = useForm({
    mode: 'uncontrolled',
    initialValues: { name: '', password: '', again: '' },
    validate: {
      name: (name) =>
        NAME.test(name.trim()) ? null : 'Letters, digits and . _ @ - only, 64 at most',
      password: (password) =>
        password.length >= LEAST_PASSWORD_CHARACTERS
          ? null
          : `At least ${LEAST_PASSWORD_CHARACTERS} characters`,
      again: (again, { password }) => (again === password ? null : 'The two differ'),
    },
  })

  async function create({ name, password }: typeof form.values): Promise<void> {
    setError(undefined)
    try {
      const body = { adminToken, name: name.trim(), password }
      const session = await bodyOf(client.POST('/api/setup', { body }))
      cache.setQueryData(keys.session, session)
      cache.setQueryData(keys.setup, { needsSetup: false })
      await navigate('/machines', { replace: true })
    } catch (thrown) {
      setError(thrown)
    }
  }

  return (
    <form onSubmit={form.onSubmit(create)}>
      <Stack>
        <TextInput
          label="Name"
          autoComplete="username"
          autoCapitalize="none"
          autoFocus
          key={form.key('name')}
          {...form.getInputProps('name')}
        />
        <PasswordInput
          label="Password"
          description={`At least ${LEAST_PASSWORD_CHARACTERS} characters; a sentence is easy to keep in mind`}
          autoComplete="new-password"
          key={form.key('password')}
          {...form.getInputProps('password')}
        />
        <PasswordInput
          label="Password again"
          autoComplete="new-password"
          key={form.key('again')}
          {...form.getInputProps('again')}
        />
        <ErrorAlert error={error} title="No account was made" />
        <BusyButton type="submit" isBusy={form.submitting} fullWidth>
          Create the account
        </BusyButton>
        <Anchor component="button" type="button" size="sm" onClick={onBack}>
          Use another token
        </Anchor>
      </Stack>
    </form>
  )
}
