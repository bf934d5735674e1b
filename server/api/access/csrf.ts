import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { ForbiddenError } from '../http/errors.ts'

export const CSRF_HEADER = 'x-csrf-token'

/**
 * Refuses what a page of another site sends through somebody's browser. Browsers send Sec-Fetch-Site
 * to HTTPS and localhost only, and Origin with every call that changes something, so over plain HTTP
 * on a LAN address Origin decides. Only the host is compared, with its port: a proxy that ends TLS
 * changes the scheme. Programs send neither. Throws ForbiddenError.
 */
export function checkSameOrigin(headers: IncomingHttpHeaders): void {
  const site = headers['sec-fetch-site']
  if (site !== undefined) {
    if (site !== 'same-origin') throw crossSite(`Sec-Fetch-Site is ${String(site)}`)
    return
  }
  const { origin } = headers
  if (origin === undefined) return
  // A proxy may put its own name for us into Host. No page can set X-Forwarded-Host for another site:
  // such a header needs a preflight, which we do not answer.
  const hosts = [headers.host, headers['x-forwarded-host']].map((host) => String(host ?? ''))
  const host = URL.canParse(origin) ? new URL(origin).host : undefined
  const isOurs = hosts.some((name) => name !== '' && hostOf(name, origin) === host)
  if (host === undefined || host === '' || !isOurs)
    throw crossSite(`Origin is ${origin}, not ${hosts[0]}`)
}

/** As a URL of that scheme has it: lower case, and without the scheme's own port. */
function hostOf(host: string, origin: string): string | undefined {
  const url = `${origin.split(':', 1)[0]}://${host}`
  return URL.canParse(url) ? new URL(url).host : undefined
}

/** What a signed-in browser sends back with each change; a page elsewhere cannot read it. */
export function checkCsrfToken(headers: IncomingHttpHeaders, expected: string | undefined): void {
  const given = headers[CSRF_HEADER]
  if (typeof given !== 'string' || expected === undefined || !isEqual(given, expected))
    throw new ForbiddenError(
      'The header "X-CSRF-Token" must hold the csrfToken of GET /api/session',
      'csrf',
    )
}

function isEqual(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function crossSite(reason: string): ForbiddenError {
  return new ForbiddenError(
    `A page of another site sent this (${reason}); if that is this server's own, the proxy before it has to pass the header Host on`,
    'csrf',
  )
}
