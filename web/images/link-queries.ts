import { queryOptions } from '@tanstack/react-query'
import type { CreatedImageLink, ImageLink } from '#protocol/image/image-link.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'

/** Those that are still good. Under the key of the image, as its versions tell how many there are. */
export function linksQuery(image: string) {
  return queryOptions({
    queryKey: [...keys.image(image), 'links'],
    async queryFn(): Promise<ImageLink[]> {
      const params = { query: { image, limit: 1000 } }
      return (await bodyOf(client.GET('/api/links', { params }))).items
    },
  })
}

/** An address for curl and wget that needs no token of anybody. */
export async function createLink(name: string): Promise<CreatedImageLink> {
  return bodyOf(client.POST('/api/images/{name}/links', { params: { path: { name } }, body: {} }))
}

export async function revokeLink(id: string): Promise<void> {
  await client.DELETE('/api/links/{id}', { params: { path: { id } } })
}
