import { Type, type TSchema } from 'typebox'
import { MAC_PATTERN } from './mac.ts'
import { HOSTNAME_PATTERN, IMAGE_NAME_PATTERN, IMAGE_REFERENCE_PATTERN } from './names.ts'
import { SHA256_PATTERN } from './sha256.ts'

/** Small schemas that several resources share. */

export { HOSTNAME_PATTERN, IMAGE_NAME_PATTERN }

/** Input: any accepted spelling of a MAC address. */
export const MacText = Type.String({ pattern: MAC_PATTERN, examples: ['52:54:00:12:34:56'] })
export const Sha256Text = Type.String({ pattern: SHA256_PATTERN })
/** RFC 3339 in UTC, as `Date.prototype.toISOString` writes it. */
export const Timestamp = Type.String({ examples: ['2026-05-01T12:00:00.000Z'] })
export const ByteCount = Type.Integer({ minimum: 0 })

export const ImageName = Type.String({ pattern: IMAGE_NAME_PATTERN, examples: ['debian-13'] })

/** An image as its name stands for it, or one version of it. */
export const ImageReference = Type.String({
  pattern: IMAGE_REFERENCE_PATTERN,
  examples: ['debian-13', 'debian-13@3', 'debian-13@latest'],
})

export const Hostname = Type.String({ pattern: HOSTNAME_PATTERN, examples: ['rack3-node7'] })

export const ErrorSchema = Type.Object({
  error: Type.Object({
    /** Stable, kebab-case, for programs. */
    code: Type.String(),
    /** A finished sentence for people. */
    message: Type.String(),
    details: Type.Optional(Type.Unknown()),
  }),
})

/** The shape of every list: `next` is the cursor of the following page, null on the last. */
export function listOf<Item extends TSchema>(item: Item) {
  return Type.Object({ items: Type.Array(item), next: Type.Union([Type.String(), Type.Null()]) })
}
