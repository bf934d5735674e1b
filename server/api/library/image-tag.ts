import type { Image } from '#protocol/image/image-info.ts'
import { entityTag } from '../http/etag.ts'

/** Of what an operator edits of an image, or replaces with it. */
export function imageTag({ name, digest, description, info }: Image): string {
  return entityTag({ name, digest, description, info })
}
