import { eq } from 'drizzle-orm'
import type { Database } from './database.ts'
import { signingKeys } from './schema.ts'

/** The key for `purpose`; of several servers that start at once, the first to make it wins. */
export async function getSigningKey(
  db: Database,
  purpose: string,
  createPrivateKey: () => string,
  now: Date,
): Promise<string> {
  const find = async () =>
    (await db.select().from(signingKeys).where(eq(signingKeys.purpose, purpose)))[0]
  const present = await find()
  if (present) return present.privateKey
  const made = { purpose, privateKey: createPrivateKey(), createdAt: now }
  await db.insert(signingKeys).values(made).onConflictDoNothing()
  return (await find())!.privateKey
}
