import { PasswordInput, Stack, TextInput } from '@mantine/core'
import { useForm } from '@mantine/form'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { Navigate, useNavigate, useSearchParams } from 'react-router'
import { bodyOf, client } from '../api/client.ts'
import { changeSession, sessionQuery } from '../api/session.ts'
import { setupQuery } from '../api/setup.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { useDocumentTitle } from '../components/use-document-title.ts'
import { EntryCard } from './EntryCard.tsx'

export function LoginPage() {
  useDocumentTitle('Sign in')
  const [query] = useSearchParams()
  const { data: setup } = useQuery(setupQuery)
  const { data: session } = useQuery(sessionQuery)
  if (setup?.needsSetup) return <Navigate to="/welcome" replace />
  if (session) return <Navigate to={safePath(query.get('to'))} replace />
  return (
    <EntryCard title="Sign in" subtitle="With the name and password of your account">
      <SignInForm to={safePath(query.get('to'))} />
    </EntryCard>
  )
}

/** Only back into these pages: an address of elsewhere in a link would lead astray. */
function safePath(path: string | null): string {
  return path !== null && /^\/(?![/\\])/.test(path) ? path : '/machines'
}

function SignInForm({ to }: { to: string }) {
  const navigate = useNavigate()
  const cache = useQueryClient()
  const [error, setError] = useState<unknown>()
  const form = useForm({
    mode: 'uncontrolled',
    initialValues: { name: '', password: '' },
    validate: {
      name: (name) => (name.trim() ? null : 'Enter your name'),
      password: (password) => (password ? null : 'Enter your password'),
    },
  })

  async function signIn({ name, password }: typeof form.values): Promise<void> {
    setError(undefined)
    try {
      const body = { name: name.trim(), password }
      const session = await bodyOf(client.POST('/api/session', { body }))
      changeSession(cache, session)
      await navigate(to, { replace: true })
    } catch (thrown) {
      setError(thrown)
    }
  }

  return (
    <form onSubmit={form.onSubmit(signIn)}>
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
          autoComplete="current-password"
          key={form.key('password')}
          {...form.getInputProps('password')}
        />
        <ErrorAlert error={error} title="Not signed in" />
        <BusyButton type="submit" isBusy={form.submitting} fullWidth>
          Sign in
        </BusyButton>
      </Stack>
    </form>
  )
}
