import { PasswordInput, Stack, Text } from '@mantine/core'
import { useState, type FormEvent } from 'react'
import { bodyOf, client } from '../api/client.ts'
import { useSession } from '../api/session.ts'
import { BusyButton } from '../components/BusyButton.tsx'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { showDone } from '../components/show.ts'
import { FactList } from '../machine/FactList.tsx'
import { Section } from '../machine/Section.tsx'
import { MIN_PASSWORD_CHARACTERS, ROLE_TEXTS } from './account-texts.ts'

export function Account() {
  const { user, via } = useSession()
  return (
    <Stack>
      <Section title="You">
        <FactList
          facts={[
            ['Name', user.name],
            ['Role', ROLE_TEXTS[user.role]],
          ]}
        />
      </Section>
      {via === 'cookie' && <ChangePassword />}
    </Stack>
  )
}

function ChangePassword() {
  const [current, setCurrent] = useState('')
  const [next, setNext] = useState('')
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const isLongEnough = next.length >= MIN_PASSWORD_CHARACTERS

  async function change(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (isBusy || !isLongEnough) return
    setBusy(true)
    setError(undefined)
    try {
      await bodyOf(client.PUT('/api/session/password', { body: { current, password: next } }))
      setCurrent('')
      setNext('')
      showDone('The password is changed, and you are signed out everywhere else')
    } catch (thrown) {
      setError(thrown)
    } finally {
      setBusy(false)
    }
  }

  return (
    <Section title="Password">
      <form onSubmit={(event) => void change(event)}>
        <Stack maw={420} align="flex-start">
          <PasswordInput
            w="100%"
            label="Present password"
            autoComplete="current-password"
            value={current}
            onChange={(event) => setCurrent(event.currentTarget.value)}
          />
          <PasswordInput
            w="100%"
            label="New password"
            description={`At least ${MIN_PASSWORD_CHARACTERS} characters; a sentence is easy to keep in mind`}
            autoComplete="new-password"
            value={next}
            onChange={(event) => setNext(event.currentTarget.value)}
          />
          <ErrorAlert error={error} />
          <BusyButton type="submit" isBusy={isBusy} isOff={current === '' || !isLongEnough}>
            Change the password
          </BusyButton>
          <Text size="sm" c="dimmed">
            You stay signed in here and are signed out everywhere else.
          </Text>
        </Stack>
      </form>
    </Section>
  )
}
