import { and, asc, eq, gt, inArray, ne, sql } from 'drizzle-orm'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Lease as LeaseResource } from '#protocol/lease.ts'
import type { Mac } from '#protocol/mac.ts'
import type { Database, Transaction } from '../database.ts'
import { recordEvent } from '../events.ts'
import { leases } from '../schema.ts'

type LeaseRow = typeof leases.$inferSelect

export interface Lease {
  mac: Mac
  address: Ipv4
  state: LeaseRow['state']
  hostname?: string
  expiresAt: Date
}

/** Taken by whoever saves a lease, in this process or another. */
const LEASES_LOCK = 7_823_464

/** Leases that survive a restart: what the DHCP server's LeaseStore asks for. */
export function createDatabaseLeaseStore(db: Database) {
  return {
    async findByMac(mac: Mac): Promise<Lease | undefined> {
      const [row] = await db
        .select()
        .from(leases)
        .where(and(eq(leases.mac, mac), ne(leases.state, 'declined')))
      return row && toLease(row)
    },
    async findByAddress(address: Ipv4): Promise<Lease | undefined> {
      const [row] = await db.select().from(leases).where(eq(leases.address, address))
      return row && toLease(row)
    },
    async list(): Promise<Lease[]> {
      return (await db.select().from(leases)).map(toLease)
    },
    save(lease: Lease, now: Date): Promise<boolean> {
      return db.transaction((tx) => save(tx, lease, now))
    },
  }
}

async function save(tx: Transaction, lease: Lease, now: Date): Promise<boolean> {
  // A lease is about a machine and an address at once, so two saves can meet on either.
  await tx.execute(sql`select pg_advisory_xact_lock(${LEASES_LOCK})`)
  const [present] = await tx.select().from(leases).where(eq(leases.address, lease.address))
  const held = present && present.state !== 'released' && present.expiresAt > now
  if (held && present.mac !== lease.mac) return false
  if (lease.state !== 'declined')
    await tx.delete(leases).where(and(eq(leases.mac, lease.mac), ne(leases.state, 'declined')))
  const row = { ...lease, hostname: lease.hostname ?? null }
  await tx.insert(leases).values(row).onConflictDoUpdate({ target: leases.address, set: row })
  recordEvent(tx, 'lease', toResource(row))
  return true
}

/** In the order of their addresses. */
export async function listLeases(
  db: Database,
  { after, limit, macs }: { after: Ipv4 | undefined; limit: number; macs?: readonly Mac[] },
): Promise<{ items: LeaseResource[]; next: string | null }> {
  const rows = await db
    .select()
    .from(leases)
    .where(
      and(
        macs && inArray(leases.mac, [...macs]),
        after === undefined ? undefined : gt(sql`${leases.address}::inet`, sql`${after}::inet`),
      ),
    )
    .orderBy(asc(sql`${leases.address}::inet`))
    .limit(limit + 1)
  const page = rows.slice(0, limit)
  return { items: page.map(toResource), next: rows.length > limit ? page.at(-1)!.address : null }
}

/** Whether we leased the address to this card, and the lease runs. */
export async function isLeasedTo(
  db: Database,
  address: Ipv4,
  mac: Mac,
  now: Date,
): Promise<boolean> {
  const [row] = await db
    .select()
    .from(leases)
    .where(and(eq(leases.address, address), eq(leases.mac, mac), eq(leases.state, 'bound')))
  return row !== undefined && row.expiresAt > now
}

/** The card that holds the address at this moment. */
export async function findLeaseholder(
  db: Database,
  address: Ipv4,
  now: Date,
): Promise<Mac | undefined> {
  const [row] = await db
    .select()
    .from(leases)
    .where(and(eq(leases.address, address), eq(leases.state, 'bound')))
  return row && row.expiresAt > now ? row.mac : undefined
}

function toLease({ hostname, ...row }: LeaseRow): Lease {
  return { ...row, ...(hostname !== null && { hostname }) }
}

function toResource(row: LeaseRow): LeaseResource {
  return { ...toLease(row), expiresAt: row.expiresAt.toISOString() }
}
