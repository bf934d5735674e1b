import { sql } from 'drizzle-orm'
import {
  bigint,
  bigserial,
  boolean,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import type { DiskHints } from '#protocol/disk-hints.ts'
import type { ImageInfo } from '#protocol/image-info.ts'
import type { Inventory } from '#protocol/inventory.ts'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Lease } from '#protocol/lease.ts'
import type { Mac } from '#protocol/mac.ts'
import type { NetworkSettings } from '#protocol/machine.ts'
import type { Receipt, Run, RunOptions, RunState, Step, Workflow } from '#protocol/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'

const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
})

const moment = () => timestamp({ withTimezone: true, mode: 'date' })
const bytes = () => bigint({ mode: 'number' })

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
  /** By an operator; others were only seen on the network. */
  entered: boolean().notNull().default(false),
  lastSeenAt: moment(),
  lastInventoryAt: moment(),
  /** When, of late, it got the script that boots our agent for an inventory and no run. */
  inventoryBoots: jsonb().$type<string[]>().notNull().default([]),
  createdAt: moment().notNull().defaultNow(),
})

/** Every network card of a machine, the one it is known by included. */
export const machineMacs = pgTable('machine_macs', {
  mac: text().$type<Mac>().primaryKey(),
  machine: text()
    .$type<Mac>()
    .notNull()
    .references(() => machines.mac, { onDelete: 'cascade' }),
})

/** Manifests by digest: what an image is; kept while an image or an active run names it. */
export const manifests = pgTable('manifests', {
  digest: text().$type<Sha256>().primaryKey(),
  /** Exactly the bytes whose hash is the digest. */
  bytes: bytea().notNull(),
  sizeBytes: bytes().notNull(),
  sectorBytes: integer().notNull(),
  storedBytes: bytes().notNull(),
  contentBytes: bytes().notNull(),
  /** Length of the whole `.img.gz` export. */
  exportBytes: bytes().notNull(),
  /** SHA-256 of the layout; with the digest it makes the ETag. */
  layoutHash: text().$type<Sha256>().notNull(),
})

/** Where exports find their lengths; a segment of zeros has no row. */
export const manifestSegments = pgTable(
  'manifest_segments',
  {
    digest: text()
      .$type<Sha256>()
      .notNull()
      .references(() => manifests.digest, { onDelete: 'cascade' }),
    segment: integer().notNull(),
    /** Of the segment in the `.img.gz`. */
    exportBytes: bytes().notNull(),
    /** Stored length of each of its chunks. */
    layout: bytea().notNull(),
  },
  (table) => [primaryKey({ columns: [table.digest, table.segment] })],
)

export const images = pgTable('images', {
  name: text().primaryKey(),
  digest: text()
    .$type<Sha256>()
    .notNull()
    .references(() => manifests.digest),
  info: jsonb().$type<ImageInfo>().notNull(),
  createdAt: moment().notNull().defaultNow(),
})

/** Open while an upload or a capture goes on: garbage collection spares what came since. */
export const uploads = pgTable('uploads', {
  id: uuid().primaryKey(),
  /** Who uploads, so that a later call of the same one touches the same row: `run:…`, `user:…` */
  holder: text().notNull(),
  startedAt: moment().notNull(),
  touchedAt: moment().notNull(),
})

export const runs = pgTable(
  'runs',
  {
    id: uuid().primaryKey(),
    mac: text()
      .$type<Mac>()
      .notNull()
      .references(() => machines.mac, { onDelete: 'cascade' }),
    workflow: text().$type<Workflow>().notNull(),
    state: text().$type<RunState>().notNull(),
    attempts: integer().notNull().default(0),
    image: text(),
    imageDigest: text().$type<Sha256>(),
    options: jsonb().$type<RunOptions>().notNull(),
    steps: jsonb().$type<Step[]>().notNull(),
    claimedBy: text().$type<NonNullable<Run['claimedBy']>>(),
    cancelRequested: boolean().notNull().default(false),
    error: text(),
    receipt: jsonb().$type<Receipt>(),
    /** When the agent of the current attempt said hello. */
    attemptAt: moment(),
    /** Of the current attempt; a report at or below it was seen before. */
    lastSequence: integer().notNull().default(-1),
    createdAt: moment().notNull(),
    bootedAt: moment(),
    startedAt: moment(),
    lastReportAt: moment(),
    finishedAt: moment(),
  },
  (table) => [
    uniqueIndex('runs_one_active_per_machine')
      .on(table.mac)
      .where(sql`state in ('queued', 'booting', 'running')`),
    index('runs_by_machine').on(table.mac, table.createdAt),
    index('runs_by_state').on(table.state, table.createdAt),
  ],
)

export const runLogs = pgTable(
  'run_logs',
  {
    runId: uuid()
      .notNull()
      .references(() => runs.id, { onDelete: 'cascade' }),
    attempt: integer().notNull(),
    lineNumber: integer().notNull(),
    at: moment().notNull(),
    text: text().notNull(),
  },
  (table) => [primaryKey({ columns: [table.runId, table.attempt, table.lineNumber] })],
)

/** One-time, good for one machine and fifteen minutes; only the hash is kept. */
export const bootTokens = pgTable('boot_tokens', {
  hash: text().$type<Sha256>().primaryKey(),
  /** The card that the machine boots from. */
  mac: text().$type<Mac>().notNull(),
  expiresAt: moment().notNull(),
})

/** What an agent shows with every call of its run; survives a restart of the server. */
export const agentSessions = pgTable('agent_sessions', {
  hash: text().$type<Sha256>().primaryKey(),
  mac: text().$type<Mac>().notNull(),
  runId: uuid().references(() => runs.id, { onDelete: 'cascade' }),
  attempt: integer().notNull(),
  /** What it was swapped for; the agent may ask again if our answer was lost. */
  bootTokenHash: text().$type<Sha256>(),
  createdAt: moment().notNull(),
})

/** Expiring addresses that need no header; the token is kept as its hash. */
export const links = pgTable('links', {
  hash: text().$type<Sha256>().primaryKey(),
  kind: text().$type<'download' | 'upload'>().notNull(),
  imageName: text().notNull(),
  /** Of a download: the content that was linked, whatever the name means later. */
  digest: text().$type<Sha256>(),
  runId: uuid().references(() => runs.id, { onDelete: 'cascade' }),
  expiresAt: moment().notNull(),
})

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

export const events = pgTable('events', {
  id: bigserial({ mode: 'number' }).primaryKey(),
  kind: text().$type<'machine' | 'run' | 'image' | 'lease' | 'notice'>().notNull(),
  data: jsonb().notNull(),
  at: moment().notNull().defaultNow(),
})
