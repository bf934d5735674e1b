import type { Socket } from 'node:dgram'
import { TftpDecodeError, decodeTftp } from '#protocol/tftp.ts'
import type { TransferEvent } from './transfer.ts'

/** More than one client can say in a window; what comes on top is as good as lost on the way. */
const MAX_WAITING = 256

/** What one client says, in order, for a loop that takes one event at a time. */
export type Inbox = {
  /** The next event, a time-out when `waitMs` have passed, or undefined once the inbox is closed. */
  next(waitMs: number): Promise<TransferEvent | undefined>
  put(event: TransferEvent): void
  close(): void
}

export function createInbox(socket: Socket): Inbox {
  const waiting: TransferEvent[] = []
  let isClosed = false
  let wake: (() => void) | undefined

  const put = (event: TransferEvent) => {
    if (waiting.length < MAX_WAITING) waiting.push(event)
    wake?.()
  }
  socket.on('message', (bytes) => {
    try {
      put({ kind: 'packet', packet: decodeTftp(bytes) })
    } catch (err) {
      if (!(err instanceof TftpDecodeError)) throw err // else it is as good as lost on the way
    }
  })

  async function next(waitMs: number): Promise<TransferEvent | undefined> {
    if (waiting.length === 0 && !isClosed && waitMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, waitMs)
        wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      wake = undefined
    }
    if (isClosed) return undefined
    return waiting.shift() ?? { kind: 'timeout' }
  }

  function close(): void {
    isClosed = true
    wake?.()
  }

  return { next, put, close }
}
