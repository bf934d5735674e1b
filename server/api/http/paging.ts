import { Type } from 'typebox'

/** How long a page of a list is unless the caller says otherwise, and at most. */
const DEFAULT_PAGE_ITEMS = 100
const MAX_PAGE_ITEMS = 1000

/** The query of every list. `after` is the `next` of the page before; its pattern is the key's. */
export function pageQuery(keyPattern: string) {
  return {
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE_ITEMS })),
    after: Type.Optional(Type.String({ pattern: keyPattern })),
  }
}

export function pageOf(query: { limit?: number; after?: string }) {
  return { limit: query.limit ?? DEFAULT_PAGE_ITEMS, after: query.after }
}
