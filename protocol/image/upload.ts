import { Type, type Static } from 'typebox'
import { ImageDescription } from './image-info.ts'
import { ByteCount, ImageName, Timestamp } from '../shapes.ts'

/** An upload that goes on where it stopped: made once, then sent in pieces of any length. */

export const FileName = Type.String({
  minLength: 1,
  maxLength: 255,
  // Shown, and part of sentences; nothing is ever opened under it.
  pattern: '^[^\\u0000-\\u001f\\u007f]+$',
  examples: ['debian-13.qcow2'],
})

export const UploadRequestSchema = Type.Object(
  {
    /** Of the image that it becomes, in place of an older one of that name. */
    name: ImageName,
    /** Of the file as it is sent, compressed or not. */
    sizeBytes: Type.Integer({ minimum: 1, examples: [1_288_490_188] }),
    fileName: Type.Optional(FileName),
    /** Absent: its GPT tells, else 512. */
    sectorSize: Type.Optional(Type.Union([Type.Literal(512), Type.Literal(4096)])),
    description: Type.Optional(ImageDescription),
    /** false: the name goes on standing for what it stands for. */
    promote: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type UploadRequest = Static<typeof UploadRequestSchema>

export const UploadSchema = Type.Object({
  id: Type.String({ format: 'uuid', examples: ['019c2f6e-8d1b-7c43-9a57-3f0e6b1d2c88'] }),
  name: ImageName,
  fileName: Type.Optional(FileName),
  /** Bytes of the file that are here for good: where the next piece begins. */
  offset: ByteCount,
  sizeBytes: ByteCount,
  /** `finishing`: all is here, and is being made an image. */
  state: Type.Enum(['receiving', 'finishing', 'done']),
  startedAt: Timestamp,
  /** When it is given up unless more comes. */
  expiresAt: Timestamp,
})
export type Upload = Static<typeof UploadSchema>

/** Request: where the piece begins. Answer: where the next one has to begin. */
export const UPLOAD_OFFSET = 'upload-offset'
/** Answer: size of the whole file. */
export const UPLOAD_LENGTH = 'upload-length'
export const UPLOAD_PIECE_MEDIA_TYPE = 'application/offset+octet-stream'
