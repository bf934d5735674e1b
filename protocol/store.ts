import { Type, type Static } from 'typebox'
import { ByteCount, Timestamp } from './shapes.ts'
import { LackingVersionSchema, StoreMigrationSchema } from './store-migration.ts'

/** The care of the chunk store: what is done to it in the background, and how it is. */

export type StoreJobName = 'scrub' | 'recompress' | 'sweep' | 'migrate'

const Moment = Type.Union([Timestamp, Type.Null()])
const MaybeBytes = Type.Union([ByteCount, Type.Null()])

export const ScrubResultSchema = Type.Object({
  startedAt: Timestamp,
  finishedAt: Timestamp,
  checkedChunks: Type.Integer(),
  checkedBytes: ByteCount,
  damagedChunks: Type.Integer(),
})

export const StoreStatusSchema = Type.Object({
  kind: Type.Enum(['folder', 's3']),
  location: Type.String(),
  /** What the store may still take: the least of the limits below; null: none of them is known. */
  availableBytes: MaybeBytes,
  /** Of the file system that it lies on. */
  freeBytes: MaybeBytes,
  totalBytes: MaybeBytes,
  /** Of the free bytes, those that are left alone. */
  reserveBytes: ByteCount,
  /** STAMPEDE_STORE_QUOTA. */
  quotaBytes: MaybeBytes,
  images: Type.Integer(),
  /** Chunks that images have, each once. */
  chunks: Type.Integer(),
  storedBytes: ByteCount,
  /**
   * Put since, and part of no image, though it counts to the quota: of captures and uploads that go on, or
   * that came to nothing. The latter goes at the next sweep, once none is open.
   */
  unusedBytes: ByteCount,
  /** What the images hold that is neither zero nor unused, each by itself. */
  contentBytes: ByteCount,
  /** What the images would take more if they shared no chunk. */
  savedBytes: ByteCount,
  codecs: Type.Object({
    gzip: Type.Object({ chunks: Type.Integer(), storedBytes: ByteCount }),
    zstd: Type.Object({ chunks: Type.Integer(), storedBytes: ByteCount }),
  }),
  /** Versions of images that lack chunks: they cannot be deployed until somebody brings these again. */
  damaged: Type.Array(LackingVersionSchema),
  /** Chunks that images lack, each once. */
  lostChunks: Type.Integer(),
  /** Where lost chunks are looked for, STAMPEDE_HEAL_FROM. */
  healFrom: Type.Union([Type.String(), Type.Null()]),
  recompression: Type.Object({
    enabled: Type.Boolean(),
    /** `waiting`: for the server to have nothing else to do. */
    state: Type.Enum(['off', 'waiting', 'working', 'done']),
    /** Of the current round, from 0 to 1. */
    progress: Type.Number(),
    /** Chunks that were looked at, and those of them that were replaced. */
    triedChunks: Type.Integer(),
    replacedChunks: Type.Integer(),
    savedBytes: ByteCount,
    finishedAt: Moment,
  }),
  scrub: Type.Object({
    state: Type.Enum(['off', 'waiting', 'working']),
    progress: Type.Number(),
    /** Hours from the end of one to the beginning of the next; 0: only when asked. */
    everyHours: Type.Integer(),
    bytesPerSecond: Type.Integer(),
    startedAt: Moment,
    checkedChunks: Type.Integer(),
    checkedBytes: ByteCount,
    damagedChunks: Type.Integer(),
    nextAt: Moment,
    last: Type.Union([ScrubResultSchema, Type.Null()]),
  }),
  sweptAt: Moment,
  /** The last copy to another store that somebody asked for. */
  migration: Type.Union([StoreMigrationSchema, Type.Null()]),
})
export type StoreStatus = Static<typeof StoreStatusSchema>

export const RecompressRequestSchema = Type.Object(
  {
    /** Whether it shall be done when there is nothing else to do; absent: once, as soon as can be. */
    enabled: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)

export const SweepResultSchema = Type.Object({
  /** Chunks that no image needed. */
  removedChunks: Type.Integer(),
})
