import { createHmac } from 'node:crypto'

/** When a delivery is tried again, and what it is signed with. */

/** The first attempt and what follows in about a day. */
export const MAX_ATTEMPTS = 11
const FIRST_DELAY_SECONDS = 5
const DELAY_FACTOR = 4
const MAX_DELAY_SECONDS = 5 * 3600
/** So that what failed together does not come back together. */
const JITTER = 0.2

/**
 * Seconds from attempt number `attempts` to the next: 5, 20, 80 … up to five hours, a fifth more or
 * less by `random` (0 to 1). Undefined: enough was tried.
 */
export function retryDelaySeconds(attempts: number, random: number): number | undefined {
  if (attempts >= MAX_ATTEMPTS) return undefined
  const delay = Math.min(FIRST_DELAY_SECONDS * DELAY_FACTOR ** (attempts - 1), MAX_DELAY_SECONDS)
  return delay * (1 - JITTER + 2 * JITTER * random)
}

/** The headers of Standard Webhooks; the key is what follows `whsec_`, in base64. */
export function signedHeaders(
  { id, body }: { id: string; body: string },
  secret: string,
  now: Date,
): Record<string, string> {
  const timestamp = String(Math.floor(now.getTime() / 1000))
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
  }
}
