import { Type, type Static } from 'typebox'
import { contentFields, ImageInfoSchema, userFields } from './image-info.ts'
import { ImageName, Timestamp } from '../shapes.ts'

/** The versions of an image, and which of them are kept. */

export const VersionNumber = Type.Integer({ minimum: 1, maximum: 999_999_999 })

/** Why a version is not removed by itself. */
export const KeepReasonSchema = Type.Enum(['promoted', 'assigned', 'running', 'linked', 'rule'])
export type KeepReason = Static<typeof KeepReasonSchema>

export const ImageVersionSchema = Type.Object({
  image: ImageName,
  version: VersionNumber,
  ...contentFields,
  /** Who uploaded it, or the machine that was captured; null: not known. */
  createdBy: Type.Union([Type.String(), Type.Null()]),
  /** The run that captured it. */
  runId: Type.Union([Type.String(), Type.Null()]),
  fileName: Type.Optional(Type.String()),
  info: ImageInfoSchema,
  /** Chunks of it were lost in the store: it cannot be deployed until they are brought again. */
  damaged: Type.Optional(Type.Object({ chunks: Type.Integer({ minimum: 1 }) })),
  /** Whether it is what the name alone stands for. */
  isPromoted: Type.Boolean(),
  /** When the name came to stand for it the last time, and by whose hand. */
  promotedAt: Type.Union([Timestamp, Type.Null()]),
  promotedBy: Type.Union([Type.String(), Type.Null()]),
  /** Machines that it is assigned to by its number, active runs that have its content, links to it. */
  usedBy: Type.Object({ ...userFields, links: Type.Integer() }),
})
export type ImageVersion = Static<typeof ImageVersionSchema>

const Limit = Type.Union([Type.Integer({ minimum: 1, maximum: 100_000 }), Type.Null()])

/** A version is kept if it is among the newest, or young enough; with neither said, always. */
export const RetentionRuleSchema = Type.Object(
  { keepVersions: Limit, keepDays: Limit },
  { additionalProperties: false },
)
export type RetentionRule = Static<typeof RetentionRuleSchema>

export const RetentionSchema = Type.Object({
  keepVersions: Limit,
  keepDays: Limit,
  /** Nothing was said of this image: the rule is that of the server's settings. */
  isDefault: Type.Boolean(),
  /** What the rule asked about would remove, or what it just removed. */
  removed: Type.Array(VersionNumber),
  kept: Type.Array(Type.Object({ version: VersionNumber, reasons: Type.Array(KeepReasonSchema) })),
})
export type Retention = Static<typeof RetentionSchema>

/** `version 3`, `versions 2, 1`. */
export function versionsText(numbers: readonly number[]): string {
  return `${numbers.length === 1 ? 'version' : 'versions'} ${numbers.join(', ')}`
}

/** Of what makes a version of an image. */
export const PromoteQuery = Type.Optional(
  Type.Boolean({ description: 'false: the name goes on standing for what it stands for' }),
)
