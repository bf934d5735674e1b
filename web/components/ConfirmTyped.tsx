import { Alert, Button, Code, Group, Modal, Stack, Text, TextInput } from '@mantine/core'
import { IconAlertTriangle } from '@tabler/icons-react'
import { useState, type FormEvent, type ReactNode } from 'react'
import { BusyButton } from './BusyButton.tsx'
import { ErrorAlert } from './ErrorAlert.tsx'
import { useReturnFocus } from './use-return-focus.ts'
import { useSending } from './use-sending.ts'

interface ConfirmTypedProps {
  opened: boolean
  onClose: () => void
  title: string
  /** What will be lost. */
  children: ReactNode
  /** What has to be typed in: a hostname, or how many. */
  confirmation: string
  /** What `confirmation` is: `the hostname`, `the number of machines`. */
  confirmationIs: string
  /** On the button: `Wipe 3 machines`. */
  action: string
  onConfirm: (typed: string) => Promise<void>
}

/** For what cannot be undone: nothing happens before the right words were typed. */
export function ConfirmTyped(props: ConfirmTypedProps) {
  return (
    <Modal opened={props.opened} onClose={props.onClose} title={props.title} size="lg">
      <ConfirmForm {...props} />
    </Modal>
  )
}

function ConfirmForm(props: ConfirmTypedProps) {
  const { onClose, children, confirmation, confirmationIs, action, onConfirm } = props
  const [typed, setTyped] = useState('')
  const { isBusy, error, send } = useSending(() => onConfirm(typed.trim()), onClose)
  const isRight = typed.trim() === confirmation
  useReturnFocus()

  function confirm(event: FormEvent): void {
    event.preventDefault()
    if (isRight) void send()
  }

  return (
    <form onSubmit={confirm}>
      <Stack>
        <Alert color="red" variant="light" icon={<IconAlertTriangle />}>
          {children}
        </Alert>
        <TextInput
          data-autofocus
          autoComplete="off"
          spellCheck={false}
          value={typed}
          onChange={(event) => setTyped(event.currentTarget.value)}
          label={
            <Text span size="sm">
              Type {confirmationIs} <Code>{confirmation}</Code> to confirm
            </Text>
          }
        />
        <ErrorAlert error={error} />
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <BusyButton type="submit" color="red" isOff={!isRight} isBusy={isBusy}>
            {action}
          </BusyButton>
        </Group>
      </Stack>
    </form>
  )
}
