import { queryOptions } from '@tanstack/react-query'
import type { Image } from '#protocol/image/image-info.ts'
import { bodyOf, client } from './client.ts'
import { keys } from './keys.ts'

/** The whole library, by name. */
export const imagesQuery = queryOptions({
  queryKey: keys.images,
  queryFn: fetchImages,
})

const PAGE_LENGTH = 1000

async function fetchImages({ signal }: { signal: AbortSignal }): Promise<Image[]> {
  const images: Image[] = []
  let after: string | undefined
  do {
    const query = { limit: PAGE_LENGTH, after }
    const page = await bodyOf(client.GET('/api/images', { params: { query }, signal }))
    images.push(...page.items)
    after = page.next ?? undefined
  } while (after !== undefined)
  return images
}
