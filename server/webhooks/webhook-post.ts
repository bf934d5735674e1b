import type { Attempt } from '../db/webhooks/webhook-deliveries.ts'
import { signedHeaders } from './webhook-rules.ts'

/** Whoever needs longer may answer 202 and work on. */
const TIMEOUT_MILLISECONDS = 10_000
/** Of an answer; the rest is not read. */
const MAX_ANSWER_BYTES = 64 * 1024
/** Of an answer, kept for people. */
const KEPT_CHARACTERS = 1000

export interface Message {
  id: string
  body: string
}

/**
 * Posts a message once. A redirect is a failure: who may choose an address must not be able to send
 * us to another one. Throws only if `signal` aborts.
 */
export async function postMessage(
  message: Message,
  { url, secret }: { url: string; secret: string },
  { now, signal }: { now: Date; signal: AbortSignal },
): Promise<Attempt> {
  const timeout = AbortSignal.timeout(TIMEOUT_MILLISECONDS)
  try {
    const response = await fetch(url, {
      method: 'POST',
      redirect: 'manual',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'Stampede',
        ...signedHeaders(message, secret, now),
      },
      body: message.body,
      signal: AbortSignal.any([signal, timeout]),
    })
    const answer = await readBeginning(response)
    const { status } = response
    const error = response.ok ? null : `The receiver answered ${status}${hintFor(status)}`
    return { status, error, answer }
  } catch (err) {
    if (signal.aborted) throw err
    const error = timeout.aborted
      ? `No answer came within ${TIMEOUT_MILLISECONDS / 1000} seconds`
      : `The receiver could not be reached: ${reasonOf(err)}`
    return { status: null, error, answer: null }
  }
}

function hintFor(status: number): string {
  return status >= 300 && status < 400
    ? ', and redirects are not followed; enter the address that it leads to'
    : ''
}

async function readBeginning({ body }: Response): Promise<string> {
  if (!body) return ''
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of body) {
    parts.push(part)
    length += part.length
    if (length >= MAX_ANSWER_BYTES) break // ends the connection too
  }
  // A NUL is nothing that the database could keep.
  const text = new TextDecoder().decode(Buffer.concat(parts)).replaceAll('\0', '\uFFFD')
  return text.slice(0, KEPT_CHARACTERS).toWellFormed()
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(err: unknown): string {
  const cause = err instanceof Error && err.cause instanceof Error ? err.cause : err
  if (!(cause instanceof Error)) return String(cause)
  return cause.message || ('code' in cause ? String(cause.code) : cause.name)
}
