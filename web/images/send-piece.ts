import { UPLOAD_OFFSET, UPLOAD_PIECE_MEDIA_TYPE } from '#protocol/image/upload.ts'
import type { Session } from '#protocol/account.ts'
import { keys } from '../api/keys.ts'
import { queryClient } from '../api/query-client.ts'

/** Nothing moved for this long: the link is down. */
const STALLED_MILLISECONDS = 60_000

export type PieceOutcome =
  /** It arrived; the next one begins at `offset`. */
  | { kind: 'arrived'; offset: number }
  /** It was the last one, and the image is there. */
  | { kind: 'finished' }
  /** The server is away or busy; the same again later. */
  | { kind: 'unreachable'; reason: string }
  /** It knows no such upload any more. */
  | { kind: 'gone'; reason: string }
  | { kind: 'refused'; reason: string }

interface PieceRequest {
  upload: string
  offset: number
  piece: Blob
  signal: AbortSignal
  onProgress: (bytes: number) => void
}

/** Sends one piece of a file. XMLHttpRequest, because fetch tells nothing of how far a body is. */
export function sendPiece(request: PieceRequest): Promise<PieceOutcome> {
  const { upload, offset, piece, signal, onProgress } = request
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest()
    let stalled: ReturnType<typeof setTimeout> | undefined
    const watch = () => {
      clearTimeout(stalled)
      stalled = setTimeout(() => call.abort(), STALLED_MILLISECONDS)
    }
    const stop = () => call.abort()
    const settle = (outcome: PieceOutcome) => {
      clearTimeout(stalled)
      signal.removeEventListener('abort', stop)
      if (signal.aborted) reject(signal.reason as Error)
      else resolve(outcome)
    }
    signal.addEventListener('abort', stop)
    call.upload.addEventListener('progress', ({ loaded }) => {
      watch()
      onProgress(loaded)
    })
    // All is sent; an image of terabytes may take its time to be finished.
    call.upload.addEventListener('loadend', () => clearTimeout(stalled))
    call.addEventListener('load', () => settle(outcomeOf(call)))
    call.addEventListener('error', () => settle(unreachable('The server does not answer')))
    call.addEventListener('abort', () => settle(unreachable('The link stands still')))
    call.open('PATCH', `/api/uploads/${upload}`)
    call.setRequestHeader('content-type', UPLOAD_PIECE_MEDIA_TYPE)
    call.setRequestHeader(UPLOAD_OFFSET, String(offset))
    const session = queryClient.getQueryData<Session | null>(keys.session)
    if (session?.csrfToken !== undefined) call.setRequestHeader('x-csrf-token', session.csrfToken)
    watch()
    call.send(piece)
  })
}

function outcomeOf(call: XMLHttpRequest): PieceOutcome {
  const { status } = call
  if (status === 201) return { kind: 'finished' }
  const offset = call.getResponseHeader(UPLOAD_OFFSET)
  // 409: we were wrong about where it stands, and the answer says what is right.
  if ((status === 204 || status === 409) && offset !== null)
    return { kind: 'arrived', offset: Number(offset) }
  const reason = reasonOf(call)
  if (status === 404 || status === 410) return { kind: 'gone', reason }
  if (status >= 500 || status === 429 || status === 408 || status === 409)
    return unreachable(reason)
  return { kind: 'refused', reason }
}

function unreachable(reason: string): PieceOutcome {
  return { kind: 'unreachable', reason }
}

function reasonOf(call: XMLHttpRequest): string {
  try {
    const body = JSON.parse(call.responseText) as { error?: { message?: string } }
    if (body.error?.message !== undefined) return body.error.message
  } catch {
    // What a proxy in between says is no JSON of ours.
  }
  return `The server answered ${call.status} ${call.statusText}`.trim()
}
