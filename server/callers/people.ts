import { ROLES, type Role, type TokenScope } from '#protocol/account.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Person } from '../api/access/principal.ts'
import { findApiToken, touchApiToken } from '../db/accounts/api-tokens.ts'
import type { Database, OpenedDatabase } from '../db/database.ts'
import { ACCOUNTS_CHANNEL } from '../db/accounts/users.ts'
import {
  findWebSession,
  SESSION_IDLE_SECONDS,
  touchWebSession,
} from '../db/accounts/web-sessions.ts'

/** Should a notification be lost, nobody keeps a right that they lost for longer than this. */
const KEPT_MILLISECONDS = 1000
/** More than that is somebody guessing. */
const MAX_KEPT = 1024
/** How exactly the last use of a token or session is known. */
const TOUCH_SECONDS = 60

export interface People extends AsyncDisposable {
  /** Whom this cookie or API token stands for, if it is valid now. `isUse` false: only asking. */
  find: (via: 'cookie' | 'token', hash: Sha256, isUse?: boolean) => Promise<Person | undefined>
  /** Forgets what it knew. Called by whoever changed an account, before they say that it is done. */
  forget: () => void
  /** Calls back when somebody's rights may have changed, until disposed. */
  onChange: (listener: () => void) => Disposable
}

interface Credential {
  person: Person
  /** When this is over if nobody uses it: of sessions only. */
  idleSeconds: number | undefined
  lastUsedAt: Date | null
  touch(now: Date): Promise<void>
}

/**
 * Sessions and API tokens as they were a moment ago: whoever pushes an image with a token calls a
 * thousand times a second.
 */
export async function openPeople({
  database,
  now,
}: {
  database: OpenedDatabase
  now: () => Date
}): Promise<People> {
  const { db } = database
  const kept = new Map<Sha256, { until: number; credential: Promise<Credential | undefined> }>()
  const listeners = new Set<() => void>()

  function forget(): void {
    kept.clear()
    for (const listener of listeners) listener()
  }

  function look(via: 'cookie' | 'token', hash: Sha256): Promise<Credential | undefined> {
    const present = kept.get(hash)
    if (present && present.until > performance.now()) return present.credential
    if (kept.size >= MAX_KEPT) kept.clear()
    const credential = via === 'cookie' ? findByCookie(db, hash) : findByToken(db, hash)
    kept.set(hash, { until: performance.now() + KEPT_MILLISECONDS, credential })
    credential.catch(() => kept.delete(hash)) // whoever asked gets the error
    return credential
  }

  const listening = await database.listen(ACCOUNTS_CHANNEL, forget)
  return {
    async find(via, hash, isUse = true) {
      const credential = await look(via, hash)
      const at = now()
      if (!credential || !isLive(credential, at)) return undefined
      const { person, lastUsedAt } = credential
      if (isUse && (!lastUsedAt || secondsSince(lastUsedAt, at) >= TOUCH_SECONDS)) {
        credential.lastUsedAt = at // at once, or all that come meanwhile would write it too
        await credential.touch(at)
      }
      return person
    },
    forget,
    onChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => listeners.delete(listener) }
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  }
}

function isLive({ person, idleSeconds, lastUsedAt }: Credential, at: Date): boolean {
  if (person.expiresAt && person.expiresAt <= at) return false
  if (idleSeconds === undefined || !lastUsedAt) return true
  return secondsSince(lastUsedAt, at) < idleSeconds
}

function secondsSince(earlier: Date, at: Date): number {
  return (at.getTime() - earlier.getTime()) / 1000
}

async function findByCookie(db: Database, hash: Sha256): Promise<Credential | undefined> {
  const found = await findWebSession(db, hash)
  if (!found) return undefined
  const { name, role, userId, csrfToken, expiresAt, lastUsedAt } = found
  return {
    person: {
      kind: 'person',
      via: 'cookie',
      name,
      role,
      userId,
      hash,
      csrfToken,
      expiresAt,
      scopes: null,
    },
    idleSeconds: SESSION_IDLE_SECONDS,
    lastUsedAt,
    touch: (at) => touchWebSession(db, hash, at),
  }
}

/** Dead with its owner, and never worth more than its owner is now. */
async function findByToken(db: Database, hash: Sha256): Promise<Credential | undefined> {
  const found = await findApiToken(db, hash)
  if (!found || found.revokedAt || found.ownerDisabled) return undefined
  const { id, name, userId, owner, ownerRole, expiresAt, lastUsedAt } = found
  return {
    person: {
      kind: 'person',
      via: 'token',
      userId,
      hash,
      expiresAt,
      name: owner ?? 'admin',
      role: ownerRole === null ? found.role : lesserRole(found.role, ownerRole),
      scopes: found.scopes as TokenScope[] | null,
      token: { id, name },
    },
    idleSeconds: undefined,
    lastUsedAt,
    touch: (at) => touchApiToken(db, hash, at),
  }
}

function lesserRole(a: Role, b: Role): Role {
  return ROLES[Math.min(ROLES.indexOf(a), ROLES.indexOf(b))]!
}
