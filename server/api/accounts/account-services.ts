import type { OpenedDatabase } from '#server/db/database.ts'
import type { Attempts } from '../access/attempts.ts'
import type { Passwords } from './passwords.ts'

/** What the routes of sessions, users and tokens share. */
export interface AccountServices {
  database: OpenedDatabase
  passwords: Passwords
  attempts: Attempts
  /** Called after an account changed and before the answer says so. */
  forgetPeople: () => void
  now: () => Date
}

/** A right that was taken away stays away, also after a power cut. */
export async function settleAccounts({ database, forgetPeople }: AccountServices): Promise<void> {
  forgetPeople()
  await database.flush()
}
