import {
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  uuid,
} from 'drizzle-orm/pg-core'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { PullState } from '#protocol/image/image-pull.ts'
import type { RetentionRule } from '#protocol/image/image-version.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { bytea, moment, bytes } from './columns.ts'

/** Images, their versions, and how they come here. */

/** What is known of an image, and what its uploader's file was called. */
export type StoredImageInfo = ImageInfo & { fileName?: string }

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
