import { randomUUID } from 'node:crypto'
import type { Database } from '../database.ts'
import { getSigningKey } from '../signing-keys.ts'

const PURPOSE = 'store-owner'

/** What marks a chunk store as that of this database; the same for all servers that share it. */
export async function getStoreOwner(db: Database): Promise<string> {
  return await getSigningKey(db, PURPOSE, randomUUID, new Date())
}
