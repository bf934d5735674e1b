import { sql } from 'drizzle-orm'
import { pgTable, text, uniqueIndex } from 'drizzle-orm/pg-core'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Lease } from '#protocol/lease.ts'
import type { Mac } from '#protocol/mac.ts'
import { moment } from './columns.ts'

/** DHCP. */

export const leases = pgTable(
  'leases',
  {
    address: text().$type<Ipv4>().primaryKey(),
    mac: text().$type<Mac>().notNull(),
    state: text().$type<Lease['state']>().notNull(),
    hostname: text(),
    expiresAt: moment().notNull(),
  },
  (table) => [
    uniqueIndex('leases_one_per_machine')
      .on(table.mac)
      .where(sql`state <> 'declined'`),
  ],
)

export const reservations = pgTable('reservations', {
  mac: text().$type<Mac>().primaryKey(),
  address: text().$type<Ipv4>().notNull().unique(),
  hostname: text(),
})

/** DHCP servers other than ours that were heard on the network. */
export const otherDhcpServers = pgTable('other_dhcp_servers', {
  address: text().$type<Ipv4>().primaryKey(),
  firstHeardAt: moment().notNull(),
  lastHeardAt: moment().notNull(),
})
