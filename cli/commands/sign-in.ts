import {
  MAX_PASSWORD_CHARACTERS,
  MIN_PASSWORD_CHARACTERS,
  type Session,
} from '#protocol/account.ts'
import { readError, type ApiClient } from '../api-client.ts'
import type { Context } from '../context.ts'
import { UsageError } from '../errors.ts'
import { ask } from '../prompt.ts'

/** A session by cookie, as a browser has it, for as long as it takes to make a token. */
export interface OpenedSession {
  readonly name: string
  post<Body>(path: string, json: unknown): Promise<Body>
  close(): Promise<void>
}

export async function signIn(
  context: Context,
  api: ApiClient,
  credentials: { name: string; password: string },
): Promise<OpenedSession> {
  return await openSession(context, api, '/api/session', credentials)
}

/** The first account of a server that has none: its admin token proves who may make it. */
export async function setUp(context: Context, api: ApiClient): Promise<OpenedSession> {
  const { signal } = context
  const instead = 'this server has no account yet; sign in here at a terminal, or in a browser'
  context.say('This server has no account yet. It printed its admin token when it first started.')
  const adminToken = await ask('Admin token: ', { signal, hidden: true, instead })
  const name = await ask('Name of the first account: ', { signal, instead })
  const password = await askNewPassword(signal, instead)
  return await openSession(context, api, '/api/setup', {
    adminToken: adminToken.trim(),
    name: name.trim(),
    password,
  })
}

export async function askNewPassword(signal: AbortSignal, instead: string): Promise<string> {
  const password = await ask('New password: ', { signal, hidden: true, instead })
  checkPassword(password)
  const again = await ask('Once more: ', { signal, hidden: true, instead })
  if (again !== password) throw new UsageError('The two are not the same; nothing was changed')
  return password
}

export function checkPassword(password: string): void {
  if (password.length < MIN_PASSWORD_CHARACTERS || password.length > MAX_PASSWORD_CHARACTERS)
    throw new UsageError(
      `A password has ${MIN_PASSWORD_CHARACTERS} to ${MAX_PASSWORD_CHARACTERS} characters`,
    )
}

async function openSession(
  { signal }: Context,
  api: ApiClient,
  path: string,
  json: unknown,
): Promise<OpenedSession> {
  const origin = { origin: api.server }
  const response = await api.fetch('POST', path, { json, headers: origin }, signal)
  const text = await response.text()
  if (!response.ok) throw readError(response, text, path)
  const session = JSON.parse(text) as Session
  const cookie = response.headers
    .getSetCookie()
    .map((line) => line.split(';', 1)[0])
    .join('; ')
  const headers = { ...origin, cookie, 'x-csrf-token': session.csrfToken ?? '' }
  return {
    name: session.user.name,
    post: (to, body) => api.call('POST', to, { json: body, headers }),
    close: () => api.call('DELETE', '/api/session', { headers }),
  }
}
