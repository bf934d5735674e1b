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
import type { AuditEntry, Role } from '#protocol/account.ts'
import type { BootProgress } from '#protocol/boot-progress.ts'
import type { DiskHints } from '#protocol/disk-hints.ts'
import type { ImageInfo } from '#protocol/image-info.ts'
import type { PullState } from '#protocol/image-pull.ts'
import type { RetentionRule } from '#protocol/image-version.ts'
import type { Inventory } from '#protocol/inventory.ts'
import type { Ipv4 } from '#protocol/ipv4.ts'
import type { Lease } from '#protocol/lease.ts'
import type { Mac } from '#protocol/mac.ts'
import type { MachineState, NetworkSettings } from '#protocol/machine.ts'
import type { ExpectedTarget, Plan } from '#protocol/plan.ts'
import type { Receipt, Run, RunOptions, RunState, Step, Workflow } from '#protocol/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { StoreJobName } from '#protocol/store.ts'

const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
})

/** What is known of an image, and what its uploader's file was called. */
export type StoredImageInfo = ImageInfo & { fileName?: string }

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
  /** The same of `.img.zst`; null until somebody asked, for images older than it. */
  zstdExportBytes: bytes(),
  /** SHA-256 of the layout; with the digest it makes the ETag. */
  layoutHash: text().$type<Sha256>().notNull(),
  /** How often its chunks took other forms since it was made; exports go on with what they began with. */
  generation: integer().notNull().default(0),
  /** Stored bytes that no other manifest shares; null until they were counted. */
  uniqueBytes: bytes(),
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
    /** Of the manifest, from which on this holds, until a later one of the segment. */
    generation: integer().notNull().default(0),
    /** Of the segment in the `.img.gz`. */
    exportBytes: bytes().notNull(),
    zstdExportBytes: bytes(),
    /** Stored length of each of its chunks. */
    layout: bytea().notNull(),
    /** When a later one took its place; kept for exports that began before. */
    supersededAt: moment(),
  },
  (table) => [primaryKey({ columns: [table.digest, table.segment, table.generation] })],
)

/** Chunks of images that were found to be rotten, until somebody brings them again. */
export const damagedChunks = pgTable(
  'damaged_chunks',
  {
    digest: text()
      .$type<Sha256>()
      .notNull()
      .references(() => manifests.digest, { onDelete: 'cascade' }),
    hash: text().$type<Sha256>().notNull(),
    /** What was found, for people. */
    reason: text().notNull(),
    foundAt: moment().notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.digest, table.hash] }),
    index('damaged_chunks_by_hash').on(table.hash),
  ],
)

/** When chunks were touched, for a store that cannot keep time stamps; of one prefix in each row. */
export const chunkTouches = pgTable(
  'chunk_touches',
  {
    /** The first two digits of the hashes. */
    prefix: text().notNull(),
    touchedAt: moment().notNull(),
    /** Eight bytes of each, after the first. */
    hashes: bytea().notNull(),
  },
  (table) => [index('chunk_touches_by_prefix').on(table.prefix, table.touchedAt)],
)

/** What is done to the store in the background, by one server at a time. */
export const storeJobs = pgTable('store_jobs', {
  name: text().$type<StoreJobName>().primaryKey(),
  /** null: as configured. */
  enabled: boolean(),
  /** Where it is and what it found; each job has its own. */
  state: jsonb().$type<Record<string, unknown>>().notNull().default({}),
  /** Somebody wants it now. */
  requestedAt: moment(),
  /** Until then it is the server's that claimed it. */
  claimedBy: uuid(),
  claimedUntil: moment(),
})

/** Chunks that recompression is done with, whether they shrank or not, by the first digits of their hashes. */
export const recompressedChunks = pgTable('recompressed_chunks', {
  prefix: text().primaryKey(),
  /** Of the codecs; with another one all are tried again. */
  level: text().notNull(),
  /** Six bytes each. */
  hashes: bytea().notNull(),
})

export const images = pgTable('images', {
  name: text().primaryKey(),
  digest: text()
    .$type<Sha256>()
    .notNull()
    .references(() => manifests.digest),
  /** Of the promoted version, like the digest and the time: what the name alone stands for. */
  info: jsonb().$type<StoredImageInfo>().notNull(),
  description: text(),
  createdAt: moment().notNull().defaultNow(),
  /** The promoted one. */
  version: integer().notNull().default(1),
  /** The highest number that was ever given: none is given twice. */
  lastVersion: integer().notNull().default(1),
  /** null: as the server's settings say. */
  retention: jsonb().$type<RetentionRule>(),
})

/** Every content that a name stood for, until retention or somebody removes it. */
export const imageVersions = pgTable(
  'image_versions',
  {
    image: text()
      .notNull()
      .references(() => images.name, { onDelete: 'cascade', onUpdate: 'cascade' }),
    version: integer().notNull(),
    digest: text()
      .$type<Sha256>()
      .notNull()
      .references(() => manifests.digest),
    info: jsonb().$type<StoredImageInfo>().notNull(),
    createdAt: moment().notNull(),
    /** A user, or the machine that was captured; null: not known. */
    createdBy: text(),
    /** The run that captured it. No reference: runs are forgotten earlier than images. */
    runId: uuid(),
    /** When the name came to stand for it the last time, and by whom; null: never. */
    promotedAt: moment(),
    promotedBy: text(),
  },
  (table) => [
    primaryKey({ columns: [table.image, table.version] }),
    index('image_versions_by_digest').on(table.digest),
  ],
)

/** Images that the server fetches from elsewhere, and of late fetched. */
export const imagePulls = pgTable(
  'image_pulls',
  {
    id: uuid().primaryKey(),
    image: text().notNull(),
    /** Without what is secret in it; headers are kept nowhere. */
    url: text().notNull(),
    state: text().$type<PullState>().notNull(),
    bytesDone: bytes().notNull().default(0),
    /** null: the other server does not say. */
    bytesTotal: bytes(),
    /** What became of it. */
    version: integer(),
    digest: text().$type<Sha256>(),
    error: jsonb().$type<{ code: string; message: string }>(),
    cancelRequested: boolean().notNull().default(false),
    createdBy: text().notNull(),
    createdAt: moment().notNull(),
    /** The server that does it says so again and again: one that fell silent was restarted. */
    touchedAt: moment().notNull(),
    finishedAt: moment(),
  },
  (table) => [index('image_pulls_by_state').on(table.state, table.createdAt)],
)

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
    planId: uuid(),
    /** What the agent must find, from the plan; it stops before the first write if it does not. */
    expected: jsonb().$type<ExpectedTarget>(),
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
    index('runs_by_image').on(table.image),
    index('runs_by_end').on(table.finishedAt),
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

/** DHCP servers other than ours that were heard on the network. */
export const otherDhcpServers = pgTable('other_dhcp_servers', {
  address: text().$type<Ipv4>().primaryKey(),
  firstHeardAt: moment().notNull(),
  lastHeardAt: moment().notNull(),
})

/** What a run may do to which disk, as somebody read it before they said yes. */
export const plans = pgTable('plans', {
  id: uuid().primaryKey(),
  createdBy: text().notNull(),
  createdAt: moment().notNull(),
  expiresAt: moment().notNull(),
  plan: jsonb().$type<Plan>().notNull(),
})

export const users = pgTable('users', {
  id: uuid().primaryKey(),
  name: text().notNull().unique(),
  role: text().$type<Role>().notNull(),
  /** PHC string of argon2id (RFC 9106). */
  passwordHash: text().notNull(),
  disabled: boolean().notNull().default(false),
  createdAt: moment().notNull(),
  lastLoginAt: moment(),
})

/** Somebody signed in with a browser; the cookie is kept as its hash. */
export const webSessions = pgTable('web_sessions', {
  hash: text().$type<Sha256>().primaryKey(),
  userId: uuid()
    .notNull()
    .references(() => users.id, { onDelete: 'cascade' }),
  /** Sent back in a header with every call that changes something. */
  csrfToken: text().notNull(),
  createdAt: moment().notNull(),
  lastUsedAt: moment().notNull(),
  expiresAt: moment().notNull(),
})

/** For programs; shown once, kept as its hash. */
export const apiTokens = pgTable('api_tokens', {
  id: uuid().primaryKey(),
  hash: text().$type<Sha256>().notNull().unique(),
  name: text().notNull(),
  /** Dies with its owner; null: made with the admin token. */
  userId: uuid().references(() => users.id, { onDelete: 'cascade' }),
  role: text().$type<Role>().notNull(),
  /** Resources that it may change; null: all that its role may. */
  scopes: jsonb().$type<string[]>(),
  createdAt: moment().notNull(),
  expiresAt: moment(),
  lastUsedAt: moment(),
  revokedAt: moment(),
})

/** Who did what; a trigger refuses to change or delete a row. */
export const auditEntries = pgTable(
  'audit_entries',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    at: moment().notNull(),
    actorKind: text().$type<AuditEntry['actor']['kind']>().notNull(),
    actorName: text().notNull(),
    address: text(),
    action: text().notNull(),
    targetKind: text(),
    target: text(),
    /** The HTTP status that it ended with. */
    status: integer().notNull(),
    details: jsonb(),
  },
  (table) => [
    index('audit_entries_by_target').on(table.targetKind, table.target, table.id),
    index('audit_entries_by_actor').on(table.actorName, table.id),
  ],
)

/** Answers to POSTs, so that one that is sent again does nothing twice. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    principal: text().notNull(),
    key: text().notNull(),
    /** Of method, path and body: another request under the same key is refused. */
    requestHash: text().$type<Sha256>().notNull(),
    /** null: being answered. */
    status: integer(),
    headers: jsonb().$type<Record<string, string>>(),
    body: text(),
    createdAt: moment().notNull(),
  },
  (table) => [primaryKey({ columns: [table.principal, table.key] })],
)

export const webhooks = pgTable('webhooks', {
  id: uuid().primaryKey(),
  url: text().notNull(),
  /** Kinds of events; empty: all. */
  events: jsonb().$type<string[]>().notNull(),
  /** Signs every delivery, so it is kept as it is. */
  secret: text().notNull(),
  enabled: boolean().notNull().default(true),
  /** Why it is not enabled, if we did that ourselves. */
  disabledReason: text(),
  /** Until then one server delivers to it, and no other. */
  claimedUntil: moment(),
  /** The newest event that deliveries were made of. */
  lastEventId: bigint({ mode: 'number' }).notNull(),
  createdAt: moment().notNull(),
})

export const webhookDeliveries = pgTable(
  'webhook_deliveries',
  {
    id: uuid().primaryKey(),
    webhookId: uuid()
      .notNull()
      .references(() => webhooks.id, { onDelete: 'cascade' }),
    eventId: bigint({ mode: 'number' }),
    kind: text().notNull(),
    body: text().notNull(),
    state: text().$type<'pending' | 'delivered' | 'failed'>().notNull(),
    attempts: integer().notNull().default(0),
    nextAttemptAt: moment(),
    lastStatus: integer(),
    lastError: text(),
    /** The beginning of what the receiver answered. */
    lastAnswer: text(),
    createdAt: moment().notNull(),
    deliveredAt: moment(),
  },
  (table) => [
    index('webhook_deliveries_due').on(table.state, table.nextAttemptAt),
    index('webhook_deliveries_by_webhook').on(table.webhookId, table.createdAt),
  ],
)

export const events = pgTable('events', {
  id: bigserial({ mode: 'number' }).primaryKey(),
  kind: text().$type<'machine' | 'run' | 'image' | 'lease' | 'notice'>().notNull(),
  data: jsonb().notNull(),
  at: moment().notNull().defaultNow(),
})

/** Keys that servers on this database share; an embedded one has its own in the data folder. */
export const signingKeys = pgTable('signing_keys', {
  purpose: text().primaryKey(),
  /** PKCS #8 in PEM. */
  privateKey: text().notNull(),
  createdAt: moment().notNull(),
})
