import { Type, type Static } from 'typebox'
import { ByteCount, Timestamp } from './shapes.ts'

/** A version of an image that lacks chunks. */
export const LackingVersionSchema = Type.Object({
  image: Type.String(),
  version: Type.Integer(),
  /** Whether the name alone stands for it. */
  isPromoted: Type.Boolean(),
  chunks: Type.Integer(),
})
export type LackingVersion = Static<typeof LackingVersionSchema>

/** The copy of a chunk store to another one, made while the first is in use. */

export const StoreMigrationSchema = Type.Object({
  from: Type.String({ examples: ['file:/var/lib/stampede/store'] }),
  to: Type.String({ examples: ['s3://stampede/images'] }),
  /** `waiting`: tried again in a moment, see `error`. `done`: start the server with the other store. */
  state: Type.Enum(['waiting', 'working', 'done', 'cancelled']),
  verify: Type.Boolean(),
  /** From 0 to 1. */
  progress: Type.Number(),
  /** Chunks that were looked at; those of them that were brought; those that are damaged here. */
  seenChunks: Type.Integer(),
  copiedChunks: Type.Integer(),
  copiedBytes: ByteCount,
  damagedChunks: Type.Integer(),
  /** Once it is done: chunks that images need and neither store has, each once; and whose they are. */
  lostChunks: Type.Integer(),
  lacking: Type.Array(LackingVersionSchema),
  startedAt: Timestamp,
  finishedAt: Type.Union([Timestamp, Type.Null()]),
  /** Why it does not get on at the moment. */
  error: Type.Union([Type.String(), Type.Null()]),
})
export type StoreMigration = Static<typeof StoreMigrationSchema>

export const MigrationRequestSchema = Type.Object(
  {
    /** `s3://bucket/prefix`, with the server's AWS_* names, or `file:` and a folder of the server. */
    to: Type.String({ minLength: 1, maxLength: 1024 }),
    /** Also read back what is there already. */
    verify: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type MigrationRequest = Static<typeof MigrationRequestSchema>
