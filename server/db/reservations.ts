import { asc, eq } from 'drizzle-orm'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Database } from './database.ts'
import { reservations } from './schema.ts'

export type ReservationRow = typeof reservations.$inferSelect

export async function listReservations(db: Database): Promise<ReservationRow[]> {
  return db.select().from(reservations).orderBy(asc(reservations.mac))
}

export async function findReservation(db: Database, mac: Mac): Promise<ReservationRow | undefined> {
  const [row] = await db.select().from(reservations).where(eq(reservations.mac, mac))
  return row
}

/** Throws a unique violation (failures.ts) if another machine has the address. */
export async function saveReservation(
  db: Database,
  mac: Mac,
  fields: { address: Ipv4; hostname: string | null },
): Promise<ReservationRow> {
  const [row] = await db
    .insert(reservations)
    .values({ mac, ...fields })
    .onConflictDoUpdate({ target: reservations.mac, set: fields })
    .returning()
  return row!
}

/** False if there is none. */
export async function deleteReservation(db: Database, mac: Mac): Promise<boolean> {
  const deleted = await db.delete(reservations).where(eq(reservations.mac, mac)).returning()
  return deleted.length > 0
}
