import { Button, Group, Modal, Stack } from '@mantine/core'
import { useState, type FormEvent, type ReactNode } from 'react'
import { RequestError } from '../api/request-error.ts'
import { BusyButton } from './BusyButton.tsx'
import { ErrorAlert } from './ErrorAlert.tsx'
import { useReturnFocus } from './use-return-focus.ts'
import { useSending } from './use-sending.ts'

interface FormModalProps {
  title: string
  /** On the button that sends it. */
  action: string
  onClose: () => void
  /** Closes when it returns; what it throws is shown and nothing typed is lost. */
  onSubmit: () => Promise<void>
  isReady?: boolean
  color?: string
  /** Given what the server refused, until something else is typed: to mark the field. */
  children: ReactNode | ((refusal: RequestError | undefined) => ReactNode)
}

/** A short form over the page. */
export function FormModal(props: FormModalProps) {
  const { title, action, onClose, onSubmit, isReady = true, color, children } = props
  const { isBusy, error, send } = useSending(onSubmit, onClose)
  const [isChanged, setChanged] = useState(false)
  useReturnFocus()

  function submit(event: FormEvent): void {
    event.preventDefault()
    if (!isReady) return
    setChanged(false)
    void send()
  }

  const refusal = error instanceof RequestError && !isChanged ? error : undefined
  return (
    <Modal opened onClose={onClose} title={title}>
      <form onSubmit={submit} onChange={() => setChanged(true)} noValidate>
        <Stack>
          {typeof children === 'function' ? children(refusal) : children}
          <ErrorAlert error={error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            {/* A field has the focus first, if there is one. */}
            <BusyButton
              type="submit"
              isBusy={isBusy}
              isOff={!isReady}
              color={color}
              data-autofocus={color === undefined || undefined}
            >
              {action}
            </BusyButton>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
