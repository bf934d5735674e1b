import { argon2Sync, randomUUID, randomUUIDv7 } from 'node:crypto'
import type { Role, Session, TokenScope, User } from '#protocol/account.ts'
import { createToken, hashToken } from '#server/api/access/auth.ts'
import { saveApiToken } from '#server/db/accounts/api-tokens.ts'
import { createUser } from '#server/db/accounts/users.ts'
import { insertSession } from '#server/db/accounts/web-sessions.ts'
import type { TestApp } from './test-app.ts'

export const PASSWORD = 'correct horse battery'

/** Somebody signed in with a browser. */
export interface SignedIn {
  cookie: string
  csrfToken: string
  /** For `app.call`: with the cookie and what its changes must carry. */
  options: { token: null; headers: Record<string, string> }
}

/** A user that nobody can sign in as, which takes no time; most tests need no password. */
export async function addUser(app: TestApp, role: Role, name = `${role}-${randomUUID()}`) {
  const user = await createUser(
    app.database.db,
    { name, role, passwordHash: '$argon2id$none' },
    app.clock.now(),
  )
  return user!
}

/** A session as signing in would begin it. */
export async function addSession(app: TestApp, userId: string): Promise<SignedIn> {
  const cookie = createToken()
  const csrfToken = createToken()
  const now = app.clock.now()
  await insertSession(app.database.db, { hash: hashToken(cookie), userId, csrfToken, now })
  return signedIn(cookie, csrfToken)
}

/** An API token as its route would make it; returns the secret. */
export async function addToken(
  app: TestApp,
  fields: {
    role: Role
    userId?: string | null
    scopes?: TokenScope[] | null
    expiresAt?: Date | null
    name?: string
  },
): Promise<{ id: string; secret: string }> {
  const secret = `stp_${createToken()}`
  const id = randomUUIDv7()
  await saveApiToken(app.database.db, {
    id,
    name: 'a token',
    userId: null,
    scopes: null,
    expiresAt: null,
    ...fields,
    hash: hashToken(secret),
    createdAt: app.clock.now(),
  })
  return { id, secret }
}

/** A hash of PASSWORD that costs nothing to check: its parameters are its own. */
const CHEAP_HASH = cheapHash()

function cheapHash(): string {
  const cost = { memory: 8, passes: 1, parallelism: 1 }
  const nonce = Buffer.alloc(16, 1)
  const tag = argon2Sync('argon2id', { message: PASSWORD, nonce, tagLength: 32, ...cost })
  const [salt, hash] = [nonce, tag].map((bytes) => bytes.toString('base64').replaceAll('=', ''))
  return `$argon2id$v=19$m=8,t=1,p=1$${salt}$${hash}`
}

/** A user who can sign in with PASSWORD, which takes next to no time either. */
export function addPerson(app: TestApp, name: string, role: Role = 'viewer') {
  const fields = { name, role, passwordHash: CHEAP_HASH }
  return createUser(app.database.db, fields, app.clock.now())
}

/** Makes a user with PASSWORD through the API. */
export async function makeUser(app: TestApp, name: string, role: Role): Promise<User> {
  const answer = await app.call<User>('POST', '/api/users', { name, role, password: PASSWORD })
  if (answer.status !== 201) throw new Error(JSON.stringify(answer.body))
  return answer.body
}

/** Signs in as a browser does. */
export async function signIn(app: TestApp, name: string, password = PASSWORD): Promise<SignedIn> {
  const answer = await app.call<Session>(
    'POST',
    '/api/session',
    { name, password },
    { token: null },
  )
  if (answer.status !== 200) throw new Error(JSON.stringify(answer.body))
  return signedIn(cookieOf(answer.headers)!, answer.body.csrfToken!)
}

/** The value of the cookie that an answer sets. */
export function cookieOf(headers: Headers): string | undefined {
  return /^stampede_session=([^;]*)/.exec(headers.get('set-cookie') ?? '')?.[1]
}

export function signedIn(cookie: string, csrfToken: string): SignedIn {
  const headers = { cookie: `stampede_session=${cookie}`, 'x-csrf-token': csrfToken }
  return { cookie, csrfToken, options: { token: null, headers } }
}
