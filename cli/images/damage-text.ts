import type { Image } from '#protocol/image/image-info.ts'
import { plural } from '../text/text.ts'

/** What an image lacks and what to do, after its name; undefined if it is whole. */
export function damageText({ damaged }: Image): string | undefined {
  return (
    damaged &&
    `lacks ${plural(damaged.chunks, 'chunk')} that the store has lost; capture or upload its content again`
  )
}
