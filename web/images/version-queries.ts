import { queryOptions } from '@tanstack/react-query'
import type { ImageDirectory } from '#protocol/image/image-info.ts'
import type { ImagePull, PullRequest } from '#protocol/image/image-pull.ts'
import type { ImageVersion, Retention } from '#protocol/image/image-version.ts'
import { bodyOf, client, patientFetch } from '../api/client.ts'
import { keys } from '../api/keys.ts'

/** Under the key of the image, so that whatever happens to it makes these stale too. */
export function versionsQuery(name: string) {
  return queryOptions({
    queryKey: [...keys.image(name), 'versions'],
    async queryFn(): Promise<ImageVersion[]> {
      const params = { path: { name } }
      return (await bodyOf(client.GET('/api/images/{name}/versions', { params }))).items
    },
  })
}

export async function promoteVersion(name: string, version: number): Promise<void> {
  const params = { path: { name, version } }
  await client.POST('/api/images/{name}/versions/{version}/promote', { params })
}

export async function deleteVersion(name: string, version: number): Promise<void> {
  const params = { path: { name, version } }
  await client.DELETE('/api/images/{name}/versions/{version}', { params })
}

export interface Rule {
  keepVersions: number | null
  keepDays: number | null
}

/** What the rule would do; without one, what the image's own does. */
export function retentionQuery(name: string, rule: Rule | 'default' | undefined) {
  return queryOptions({
    queryKey: [...keys.image(name), 'retention', rule],
    async queryFn(): Promise<Retention> {
      const params = { path: { name }, query: questionOf(rule) }
      return bodyOf(client.GET('/api/images/{name}/retention', { params }))
    },
  })
}

function questionOf(rule: Rule | 'default' | undefined) {
  if (rule === undefined) return {}
  if (rule === 'default') return { useDefault: true }
  const { keepVersions, keepDays } = rule
  if (keepVersions === null && keepDays === null) return { keepAll: true }
  return {
    ...(keepVersions !== null && { keepVersions }),
    ...(keepDays !== null && { keepDays }),
  }
}

export async function saveRetention(name: string, rule: Rule | 'default'): Promise<Retention> {
  const body = rule === 'default' ? { useDefault: true } : rule
  return bodyOf(client.PUT('/api/images/{name}/retention', { params: { path: { name } }, body }))
}

const PULLS_MILLISECONDS = 1500
/** Somebody else, or the command, may begin one. */
const NO_PULLS_MILLISECONDS = 10_000

/** Asked again and again while one of them goes on: progress makes no events. */
export const pullsQuery = queryOptions({
  queryKey: [...keys.images, 'pulls'],
  async queryFn(): Promise<ImagePull[]> {
    return (await bodyOf(client.GET('/api/pulls'))).items
  },
  refetchInterval: ({ state }) =>
    state.data?.some((pull) => pull.state === 'running')
      ? PULLS_MILLISECONDS
      : NO_PULLS_MILLISECONDS,
})

export async function startPull(name: string, body: PullRequest): Promise<ImagePull> {
  return bodyOf(client.POST('/api/images/{name}/pull', { params: { path: { name } }, body }))
}

export async function cancelPull(id: string): Promise<void> {
  await client.DELETE('/api/pulls/{id}', { params: { path: { id } } })
}

/** In what of an image a path is; what is absent, the server chooses. */
export interface FilePlace {
  partition?: number | undefined
  /** Logical volume, `group/name`. */
  volume?: string | undefined
}

export function treeQuery(name: string, path: string, { partition, volume }: FilePlace) {
  return queryOptions({
    queryKey: [...keys.imageTree(name), path, partition, volume],
    retry: false,
    staleTime: Infinity, // an image never changes, and each look is in the audit log
    async queryFn({ signal }): Promise<ImageDirectory> {
      const query = {
        path,
        ...(partition !== undefined && { partition }),
        ...(volume !== undefined && { volume }),
      }
      const params = { path: { name }, query }
      const call = client.GET('/api/images/{name}/tree', { params, signal, fetch: patientFetch })
      return bodyOf(call)
    },
  })
}

/** Where a browser gets one file of an image. */
export function fileAddress(name: string, path: string, { partition, volume }: FilePlace): string {
  const query = new URLSearchParams({
    path,
    ...(partition !== undefined && { partition: String(partition) }),
    ...(volume !== undefined && { volume }),
  })
  return `/api/images/${name}/files?${query.toString()}`
}
