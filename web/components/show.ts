import { notifications } from '@mantine/notifications'
import { errorText } from '../api/request-error.ts'

/** Errors stay until they are read. */
export function showError(error: unknown, title = 'That did not work'): void {
  notifications.show({ title, message: errorText(error), color: 'red', autoClose: false })
}

export function showDone(message: string): void {
  notifications.show({ message, color: 'teal' })
}
