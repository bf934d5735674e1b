import { Type, type Static } from 'typebox'
import { ImageDescription } from './image-info.ts'
import { ByteCount, ImageName, Sha256Text, Timestamp } from '../shapes.ts'
import { SHA256_PATTERN } from '../sha256.ts'

/** An image that the server fetches from a URL by itself. */

export const PullStateSchema = Type.Enum(['running', 'done', 'failed', 'cancelled'])
export type PullState = Static<typeof PullStateSchema>

export const PullRequestSchema = Type.Object(
  {
    url: Type.String({
      pattern: '^https?://',
      maxLength: 4096,
      examples: [
        'https://cloud.debian.org/images/cloud/trixie/latest/debian-13-generic-amd64.qcow2',
      ],
    }),
    /** Of the file as it comes, compressed or not. */
    sha256: Type.Optional(Type.String({ pattern: SHA256_PATTERN })),
    /** Such as Authorization; sent to the host of the URL only, and kept nowhere. */
    headers: Type.Optional(
      Type.Record(
        Type.String({ pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$" }),
        Type.String({ pattern: '^[\\x20-\\x7e]*$', maxLength: 4096 }),
      ),
    ),
    sectorSize: Type.Optional(Type.Union([Type.Literal(512), Type.Literal(4096)])),
    description: Type.Optional(ImageDescription),
    /** false: the name goes on standing for what it stands for. */
    promote: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)
export type PullRequest = Static<typeof PullRequestSchema>

export const ImagePullSchema = Type.Object({
  id: Type.String(),
  image: ImageName,
  /** Without user name, password and query, which may be secret. */
  url: Type.String(),
  state: PullStateSchema,
  bytesDone: ByteCount,
  /** Of the file; null: its server does not say. */
  bytesTotal: Type.Union([ByteCount, Type.Null()]),
  /** What became of it. */
  version: Type.Union([Type.Integer({ minimum: 1 }), Type.Null()]),
  digest: Type.Union([Sha256Text, Type.Null()]),
  error: Type.Union([Type.Object({ code: Type.String(), message: Type.String() }), Type.Null()]),
  createdBy: Type.String(),
  createdAt: Timestamp,
  finishedAt: Type.Union([Timestamp, Type.Null()]),
})
export type ImagePull = Static<typeof ImagePullSchema>
