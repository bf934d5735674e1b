import { boolean, index, jsonb, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import type { Sha256 } from '#protocol/sha256.ts'
import type { StoreJobName } from '#protocol/store.ts'
import { bytea, moment } from './columns.ts'
import { manifests } from './images.ts'

/** Chunks, and the care of them. */

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
