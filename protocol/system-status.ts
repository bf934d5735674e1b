import { Type, type Static } from 'typebox'
import { ByteCount, Timestamp } from './shapes.ts'

/** How the server is: shown in Settings and by `stampede doctor`. */

export const CHECK_NAMES = [
  'http',
  'dhcp',
  'tftp',
  'boot-files',
  'agent-files',
  'store',
  'database',
  'clock',
  'other-dhcp-servers',
] as const
export type CheckName = (typeof CHECK_NAMES)[number]

export const CheckSchema = Type.Object({
  name: Type.Enum(CHECK_NAMES),
  ok: Type.Boolean(),
  /** A sentence: what was found and, if it is not well, what to do. */
  message: Type.String(),
})
export type Check = Static<typeof CheckSchema>

export const SystemStatusSchema = Type.Object({
  version: Type.String({ examples: ['0.1.0'] }),
  /** Version of the Node.js that runs the server. */
  node: Type.String({ examples: ['v24.21.0'] }),
  startedAt: Timestamp,
  database: Type.Object({
    kind: Type.Enum(['embedded', 'postgres']),
    bytes: Type.Optional(ByteCount),
  }),
  store: Type.Object({
    kind: Type.Enum(['folder', 's3']),
    location: Type.String(),
    freeBytes: Type.Union([ByteCount, Type.Null()]),
    /** Of all chunks that images use, each counted once. */
    storedBytes: ByteCount,
    images: Type.Integer(),
    /** What the images' chunks hold, each image by itself. */
    contentBytes: ByteCount,
    /** What the images would take more if they shared no chunk. */
    savedBytes: ByteCount,
  }),
  checks: Type.Array(CheckSchema),
})
export type SystemStatus = Static<typeof SystemStatusSchema>
