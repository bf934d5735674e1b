import { sql } from 'drizzle-orm'
import type { Database, Transaction } from '../database.ts'

/** Taken together with the hash of an image's name. */
const IMAGE_NAMES_LOCK = 7_823_473

/**
 * Until the caller's transaction ends nobody else makes an image of that name, or a run that captures
 * one: what is not there yet has no row to lock.
 */
export async function lockImageName(tx: Database | Transaction, name: string): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${IMAGE_NAMES_LOCK}, hashtext(${name}))`)
}
