import { queryOptions } from '@tanstack/react-query'
import type { Image, ImageChange } from '#protocol/image/image-info.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'

export interface EditedImage {
  image: Image
  etag: string
}

export function imageQuery(name: string) {
  return queryOptions({ queryKey: keys.image(name), queryFn: () => fetchImage(name) })
}

async function fetchImage(name: string): Promise<EditedImage> {
  const params = { path: { name } }
  const { data, response } = await client.GET('/api/images/{name}', { params })
  return { image: data as Image, etag: response.headers.get('etag') ?? '' }
}

export async function changeImage(name: string, etag: string, body: ImageChange): Promise<Image> {
  const params = { path: { name }, header: { 'if-match': etag } }
  return bodyOf(client.PATCH('/api/images/{name}', { params, body }))
}

export async function deleteImage(name: string, options: { unassign: boolean }): Promise<void> {
  const params = {
    path: { name },
    query: { ...(options.unassign && { unassign: true }) },
  }
  await client.DELETE('/api/images/{name}', { params })
}
