import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import type { ApiToken, Role, TokenScope, User } from '#protocol/account.ts'
import type { Webhook, WebhookDelivery, WebhookEvent } from '#protocol/webhook.ts'
import { bodyOf, client } from '../api/client.ts'
import { keys } from '../api/keys.ts'

/** Health and deliveries change without an event of their own. */
const REFRESH_MILLISECONDS = 15_000
const AUDIT_PAGE_LENGTH = 50
const DELIVERIES_SHOWN = 50

export const usersKey = ['users']
export const tokensKey = ['tokens']
export const webhooksKey = ['webhooks']
export const deliveriesKey = (id: string) => ['deliveries', id]

export const systemQuery = queryOptions({
  queryKey: keys.system,
  queryFn: ({ signal }) => bodyOf(client.GET('/api/system', { signal })),
  refetchInterval: REFRESH_MILLISECONDS,
})

export const usersQuery = queryOptions({
  queryKey: usersKey,
  queryFn: async ({ signal }): Promise<User[]> =>
    (await bodyOf(client.GET('/api/users', { signal }))).items,
})

export async function createUser(body: {
  name: string
  role: Role
  password: string
}): Promise<void> {
  await client.POST('/api/users', { body })
}

export async function changeUser(
  name: string,
  body: { role?: Role; password?: string; disabled?: boolean },
): Promise<void> {
  await client.PATCH('/api/users/{name}', { params: { path: { name } }, body })
}

export async function deleteUser(name: string): Promise<void> {
  await client.DELETE('/api/users/{name}', { params: { path: { name } } })
}

export const tokensQuery = queryOptions({
  queryKey: tokensKey,
  queryFn: async ({ signal }): Promise<ApiToken[]> =>
    (await bodyOf(client.GET('/api/tokens', { signal }))).items,
})

export interface NewToken {
  name: string
  role: Role
  scopes?: TokenScope[]
  /** null: it never expires. */
  expiresInDays: number | null
}

/** Returns the secret, which nobody will ever see again. */
export async function createToken(body: NewToken): Promise<string> {
  return (await bodyOf(client.POST('/api/tokens', { body }))).secret
}

export async function revokeToken(id: string): Promise<void> {
  await client.DELETE('/api/tokens/{id}', { params: { path: { id } } })
}

export interface AuditFilter {
  actor?: string
  action?: string
  target?: string
}

export function auditQuery(filter: AuditFilter) {
  return infiniteQueryOptions({
    queryKey: ['audit', filter],
    queryFn: ({ pageParam, signal }) => {
      const query = { ...filter, limit: AUDIT_PAGE_LENGTH, ...(pageParam && { after: pageParam }) }
      return bodyOf(client.GET('/api/audit', { params: { query }, signal }))
    },
    initialPageParam: '',
    getNextPageParam: (page) => page.next,
  })
}

export const webhooksQuery = queryOptions({
  queryKey: webhooksKey,
  queryFn: async ({ signal }): Promise<Webhook[]> =>
    (await bodyOf(client.GET('/api/webhooks', { signal }))).items,
})

/** Returns the key that signs, which nobody will ever see again. */
export async function createWebhook(body: {
  url: string
  events: WebhookEvent[]
}): Promise<string> {
  return (await bodyOf(client.POST('/api/webhooks', { body }))).secret
}

export async function enableWebhook(id: string, enabled: boolean): Promise<void> {
  await client.PATCH('/api/webhooks/{id}', { params: { path: { id } }, body: { enabled } })
}

export async function deleteWebhook(id: string): Promise<void> {
  await client.DELETE('/api/webhooks/{id}', { params: { path: { id } } })
}

export async function testWebhook(id: string): Promise<void> {
  await client.POST('/api/webhooks/{id}/test', { params: { path: { id } } })
}

export function deliveriesQuery(id: string) {
  return queryOptions({
    queryKey: deliveriesKey(id),
    queryFn: async ({ signal }): Promise<WebhookDelivery[]> => {
      const params = { path: { id }, query: { limit: DELIVERIES_SHOWN } }
      return (await bodyOf(client.GET('/api/webhooks/{id}/deliveries', { params, signal }))).items
    },
    refetchInterval: REFRESH_MILLISECONDS,
  })
}

export async function retryDelivery(id: string, delivery: string): Promise<void> {
  const params = { path: { id, delivery } }
  await client.POST('/api/webhooks/{id}/deliveries/{delivery}/retry', { params })
}
