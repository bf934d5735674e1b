import { Button, Group, Modal, Stack } from '@mantine/core'
import { useState, type FormEvent, type ReactNode } from 'react'
import { ErrorAlert } from './ErrorAlert.tsx'

interface FormModalProps {
  title: string
  /** On the button that sends it. */
  action: string
  onClose: () => void
  /** Closes when it returns; what it throws is shown and nothing typed is lost. */
  onSubmit: () => Promise<void>
  isReady?: boolean
  color?: string
  children: ReactNode
}

/** A short form over the page. */
export function FormModal(props: FormModalProps) {
  const { title, action, onClose, onSubmit, isReady = true, color, children } = props
  const [isBusy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()

  async function submit(event: FormEvent): Promise<void> {
    event.preventDefault()
    if (isBusy || !isReady) return
    setBusy(true)
    setError(undefined)
    try {
      await onSubmit()
      onClose()
    } catch (thrown) {
      setError(thrown)
      setBusy(false)
    }
  }

  return (
    <Modal opened onClose={onClose} title={title}>
      <form onSubmit={(event) => void submit(event)} noValidate>
        <Stack>
          {children}
          <ErrorAlert error={error} />
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Cancel
            </Button>
            <Button type="submit" loading={isBusy} disabled={!isReady} color={color}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  )
}
