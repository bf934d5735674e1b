import { boolean, index, jsonb, pgTable, text } from 'drizzle-orm/pg-core'
import type { BootProgress } from '#protocol/machine/boot-progress.ts'
import type { DiskHints } from '#protocol/machine/disk-hints.ts'
import type { Inventory } from '#protocol/machine/inventory.ts'
import type { Mac } from '#protocol/mac.ts'
import type { MachineState, NetworkSettings } from '#protocol/machine/machine.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { moment } from './columns.ts'

/** Machines, and what was seen of them. */

export const machines = pgTable('machines', {
  mac: text().$type<Mac>().primaryKey(),
  name: text().notNull(),
  hostname: text(),
  image: text(),
  locked: boolean().notNull().default(false),
  tags: jsonb().$type<string[]>().notNull().default([]),
  disk: jsonb().$type<DiskHints>(),
  network: jsonb().$type<NetworkSettings>(),
  inventory: jsonb().$type<Inventory>(),
  /** From the first inventory; a MAC that turns up with another is another machine. */
  smbiosUuid: text(),
  smbiosSerial: text(),
  /** What lists show, filter and sort by, so that they need not read inventories and runs. */
  state: text().$type<MachineState>().notNull().default('discovered'),
  manufacturer: text(),
  product: text(),
  serial: text(),
  /** What a deploy put on its disk, as far as we know. */
  imageDigest: text().$type<Sha256>(),
  /** By an operator; others were only seen on the network. */
  entered: boolean().notNull().default(false),
  lastSeenAt: moment(),
  lastInventoryAt: moment(),
  /** How far its latest boot came; what the operator watches until the agent reports. */
  boot: jsonb().$type<BootProgress>(),
  /** When, of late, it got the script that boots our agent for an inventory and no run. */
  inventoryBoots: jsonb().$type<string[]>().notNull().default([]),
  createdAt: moment().notNull().defaultNow(),
})

/** Every network card of a machine, the one it is known by included. */
export const machineMacs = pgTable(
  'machine_macs',
  {
    mac: text().$type<Mac>().primaryKey(),
    machine: text()
      .$type<Mac>()
      .notNull()
      .references(() => machines.mac, { onDelete: 'cascade' }),
  },
  (table) => [index('machine_macs_by_machine').on(table.machine)],
)
