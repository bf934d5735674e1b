import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { PreconditionFailedError } from './errors.ts'

/**
 * Entity tags (RFC 9110, sections 8.8.3 and 13.1) over what an operator edits of a resource, and not
 * over what changes by itself: a heartbeat between reading a machine and saving it is no conflict.
 */

/** The strong entity tag of these fields, whatever the order of their keys. */
export function entityTag(fields: object): string {
  const hash = createHash('sha256').update(canonicalJson(fields))
  return `"${hash.digest('base64url').slice(0, 22)}"`
}

/** JSON whose text does not depend on the order of keys; absent and undefined are the same. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}

/**
 * Answers with the resource and its tag, or 304 if the caller has it already (If-None-Match). Since
 * the tag says nothing of state and times, no cache may keep the answer and ask by itself.
 */
export function sendTagged<Body>(
  request: FastifyRequest,
  reply: FastifyReply,
  tag: string,
  body: Body,
): Body | FastifyReply {
  void reply.headers({ etag: tag, 'cache-control': 'no-store' })
  const known = request.headers['if-none-match']
  if (known === undefined || !['GET', 'HEAD'].includes(request.method)) return body
  if (!isAny(known) && !tagsOf(known).includes(tag)) return body
  return reply.code(304).send()
}

/** What a change gets to see of the resource, within its transaction; throws to refuse the change. */
export type CheckCurrent<Current> = (current: Current | undefined) => void

/**
 * The check of If-Match for a change, or undefined if the caller sent none; `If-None-Match: *` asks
 * that there is nothing yet. Call it inside the transaction that changes, on the row that it has
 * locked: else two writers might both pass. Throws PreconditionFailedError (412).
 */
export function ifMatch<Current>(
  request: FastifyRequest,
  tagOf: (current: Current) => string,
): CheckCurrent<Current> | undefined {
  const wanted = request.headers['if-match']
  const isNew = isAny(request.headers['if-none-match'] ?? '')
  if (wanted === undefined && !isNew) return undefined
  return (current) => {
    if (isNew && current !== undefined)
      throw new PreconditionFailedError(
        `There is one already (${tagOf(current)}), and If-None-Match: * asks that there is none`,
      )
    if (wanted === undefined) return
    if (current === undefined)
      throw new PreconditionFailedError(
        `If-Match is ${wanted}, but there is nothing here any more; leave the header out to create it`,
      )
    const tag = tagOf(current)
    if (isAny(wanted) || strongTagsOf(wanted).includes(tag)) return
    throw new PreconditionFailedError(
      `Somebody changed this since you read it: If-Match is ${wanted}, but it is now ${tag}; read it again`,
      { etag: tag },
    )
  }
}

function isAny(header: string): boolean {
  return header.trim() === '*'
}

const TAG = /(W\/)?("[\x21\x23-\x7e\x80-\xff]*")/g

/** If-None-Match compares weakly: `W/"x"` is as good as `"x"`. */
function tagsOf(header: string): string[] {
  return [...header.matchAll(TAG)].map(([, , tag]) => tag!)
}

/** If-Match compares strongly: a weak tag matches nothing. */
function strongTagsOf(header: string): string[] {
  return [...header.matchAll(TAG)].filter(([, weak]) => !weak).map(([, , tag]) => tag!)
}
