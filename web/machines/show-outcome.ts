import { notifications } from '@mantine/notifications'
import { countOf } from '../components/format.ts'
import { showDone } from '../components/show.ts'
import type { BulkOutcome } from './bulk.ts'

const SHOWN_REFUSALS = 5

/** `12 machines locked`; what was refused stays until it is read. */
export function showOutcome({ done, refused }: BulkOutcome, verb: string): void {
  if (done > 0) showDone(`${countOf(done, 'machine')} ${verb}`)
  if (refused.length === 0) return
  const shown = refused.slice(0, SHOWN_REFUSALS).map(({ message }) => message)
  const rest = refused.length - shown.length
  notifications.show({
    color: 'red',
    autoClose: false,
    title: `${countOf(refused.length, 'machine')} not ${verb}`,
    message: [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join('. '),
  })
}
