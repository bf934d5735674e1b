import { Type, type Static } from 'typebox'
import { UUID_PATTERN } from '../names.ts'
import { Sha256Text, Timestamp } from '../shapes.ts'

/** How long a link to an image may be good. */
export const MAX_LINK_HOURS = 30 * 24

/** An address that needs no header. What it opens is the image as it was when the link was made. */
export const ImageLinkSchema = Type.Object({
  /** Names the link, and opens nothing. */
  id: Type.String({ pattern: UUID_PATTERN }),
  /** As it was asked for: `debian-13`, `debian-13@2`. */
  image: Type.String(),
  digest: Sha256Text,
  createdAt: Timestamp,
  /** null: made by an older release, which did not keep it. */
  createdBy: Type.Union([Type.String(), Type.Null()]),
  /** Of the last download that began, to the minute. */
  lastUsedAt: Type.Union([Timestamp, Type.Null()]),
  expiresAt: Timestamp,
})
export type ImageLink = Static<typeof ImageLinkSchema>

/** Its address is told this once. */
export const CreatedImageLinkSchema = Type.Object({
  ...ImageLinkSchema.properties,
  /** `http://…/l/{token}/{name}.img.gz`. */
  url: Type.String(),
})
export type CreatedImageLink = Static<typeof CreatedImageLinkSchema>
