import { asc, eq } from 'drizzle-orm'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Database, Transaction } from '../database.ts'
import { reservations } from '../schema.ts'

export type ReservationRow = typeof reservations.$inferSelect

export async function listReservations(db: Database): Promise<ReservationRow[]> {
  return db.select().from(reservations).orderBy(asc(reservations.mac))
}

export async function findReservation(db: Database, mac: Mac): Promise<ReservationRow | undefined> {
  const [row] = await db.select().from(reservations).where(eq(reservations.mac, mac))
  return row
}

/** Sees the reservation as it is while nobody else can change it, and throws to leave it so. */
export type CheckReservation = (current: ReservationRow | undefined) => void

/** Throws a unique violation (failures.ts) if another machine has the address. */
export async function saveReservation(
  db: Database,
  mac: Mac,
  fields: { address: Ipv4; hostname: string | null },
  check?: CheckReservation,
): Promise<ReservationRow> {
  return db.transaction(async (tx) => {
    if (check) check(await lockReservation(tx, mac))
    const [row] = await tx
      .insert(reservations)
      .values({ mac, ...fields })
      .onConflictDoUpdate({ target: reservations.mac, set: fields })
      .returning()
    return row!
  })
}

/** False if there is none. */
export async function deleteReservation(
  db: Database,
  mac: Mac,
  check?: CheckReservation,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    if (check) check(await lockReservation(tx, mac))
    const deleted = await tx.delete(reservations).where(eq(reservations.mac, mac)).returning()
    return deleted.length > 0
  })
}

async function lockReservation(tx: Transaction, mac: Mac): Promise<ReservationRow | undefined> {
  const [row] = await tx.select().from(reservations).where(eq(reservations.mac, mac)).for('update')
  return row
}
