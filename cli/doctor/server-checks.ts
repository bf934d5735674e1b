import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Session } from '#protocol/account.ts'
import type { SystemStatus } from '#protocol/system-status.ts'
import { createApiClient, explainFailure, readError, type ApiClient } from '../api-client.ts'
import { CliError, EXIT } from '../errors.ts'
import { printable } from '../text/text.ts'
import { VERSION } from '../version.ts'
import type { Finding } from './finding.ts'

/** More than this makes tokens and leases seem to end at the wrong time. */
const MAX_SKEW_SECONDS = 5
const TIMEOUT_MILLISECONDS = 10_000

export interface ServerFindings {
  findings: Finding[]
  /** The exit code that they call for. */
  exitCode: number
  system: SystemStatus | undefined
}

/** From here to the server, and what the server finds itself. */
export async function serverChecks(
  server: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<ServerFindings> {
  const findings: Finding[] = []
  const failed = (exitCode: number, name: string, err: unknown): ServerFindings => {
    findings.push({ name, ok: false, message: err instanceof Error ? err.message : String(err) })
    return { findings, exitCode, system: undefined }
  }
  const { hostname } = new URL(server)
  try {
    findings.push(await checkName(hostname.replace(/^\[|\]$/g, '')))
  } catch (err) {
    return failed(EXIT.unreachable, 'DNS', err)
  }
  const api = createApiClient({ server, token, signal })
  try {
    findings.push(...(await checkReach(api, signal)))
  } catch (err) {
    return failed(EXIT.unreachable, 'server', err)
  }
  try {
    const { user } = await api.call<Session>('GET', '/api/session')
    findings.push({
      name: 'account',
      ok: true,
      message: `You are "${printable(user.name)}", ${user.role}`,
    })
    const system = await api.call<SystemStatus>('GET', '/api/system')
    findings.push(
      checkVersion(system),
      ...system.checks.map(({ name, ok, message }) => ({ name, ok, message: printable(message) })),
    )
    return { findings, exitCode: findings.every(({ ok }) => ok) ? EXIT.ok : EXIT.failed, system }
  } catch (err) {
    return failed(err instanceof CliError ? err.exitCode : EXIT.failed, 'account', err)
  }
}

async function checkName(host: string): Promise<Finding> {
  if (isIP(host) !== 0) return { name: 'DNS', ok: true, message: `${host} needs none` }
  const found = await lookup(host, { all: true }).catch((err: NodeJS.ErrnoException) => {
    throw new Error(`${host} is not known (${err.code}); check the spelling or the DNS`)
  })
  const addresses = found.map(({ address }) => address).join(', ')
  return { name: 'DNS', ok: true, message: `${host} is ${addresses}` }
}

/** That something answers, and how far its clock is from ours. */
async function checkReach(api: ApiClient, signal: AbortSignal): Promise<Finding[]> {
  const before = Date.now()
  try {
    const limit = AbortSignal.timeout(TIMEOUT_MILLISECONDS)
    const response = await api.fetch('GET', '/healthz', {}, limit)
    const text = await response.text()
    const after = Date.now()
    if (!response.ok) throw readError(response, text, '/healthz')
    const findings = [
      { name: 'server', ok: true, message: `${api.server} answers in ${after - before} ms` },
    ]
    const date = Date.parse(response.headers.get('date') ?? '')
    return Number.isNaN(date) ? findings : [...findings, checkSkew(date, before, after)]
  } catch (err) {
    throw explainFailure(err, api.server, signal)
  }
}

/** The header is in whole seconds, and was written some time between asking and hearing. */
function checkSkew(date: number, before: number, after: number): Finding {
  const skew =
    date + 1000 < before ? (before - date - 1000) / 1000 : date > after ? (date - after) / 1000 : 0
  const direction = date > after ? 'ahead of' : 'behind'
  if (skew <= MAX_SKEW_SECONDS)
    return { name: 'clocks', ok: true, message: 'This computer and the server have the same time' }
  return {
    name: 'clocks',
    ok: false,
    message: `The server is ${Math.round(skew)} s ${direction} this computer; set both by NTP`,
  }
}

function checkVersion({ version }: SystemStatus): Finding {
  return version === VERSION
    ? { name: 'version', ok: true, message: `Server and command are ${version}` }
    : {
        name: 'version',
        ok: false,
        message: `The server is ${printable(version)}, this command ${VERSION}; use the same`,
      }
}
