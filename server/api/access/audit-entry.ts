import type { AuditEntry } from '#protocol/account.ts'
import { MAC_PATTERN, parseMac } from '#protocol/mac.ts'
import type { Principal } from './principal.ts'

/** What the audit log says of a call: pure, from what was asked and answered. */

export interface AuditTarget {
  kind: string
  id: string
  /** Where they differ from those of the call. */
  status?: number
  details?: unknown
}

export interface AuditedCall {
  action: string
  params: unknown
  body: unknown
  /** The JSON that goes out, if it is JSON. */
  answer: unknown
}

const MAX_DETAIL_CHARACTERS = 4096
const MAX_TEXT_CHARACTERS = 256
const MAX_ITEMS = 50
const MAX_DEPTH = 6
const REFUSED_STATUS = 409

/** Fields whose values are nobody's business, however they are spelt. */
const SECRET_FIELD = /passw|token|secret|^current$|cookie|authorization|credential|(^|[a-z])key$/i

export function actorOf(principal: Principal): AuditEntry['actor'] {
  switch (principal.kind) {
    case 'none':
      return { kind: 'anonymous', name: 'anonymous' }
    case 'agent':
      return { kind: 'agent', name: principal.session.mac }
    case 'person': {
      const { via, name, token } = principal
      if (via === 'admin-token') return { kind: 'admin-token', name }
      // A user's name has no slash in it.
      return token ? { kind: 'token', name: `${name}/${token.name}` } : { kind: 'user', name }
    }
  }
}

/**
 * What was changed, or was to be. A call about many machines has a target for each, those that were
 * refused included.
 */
export function targetsOf({ action, params, body, answer }: AuditedCall): AuditTarget[] {
  const kind = action.split('.', 1)[0]!
  const many = machinesIn(answer, kind)
  if (many.length > 0) return many
  const asked = { ...fieldsOf(body), ...fieldsOf(params) }
  const answered = fieldsOf(answer)
  const mac = textOf(answered['mac']) ?? textOf(asked['mac'])
  if (mac !== undefined)
    return [{ ...machine(mac, kind), ...runOf(kind, { ...asked, ...answered }) }]
  if (Array.isArray(asked['macs'])) return asked['macs'].map((each) => machine(String(each), kind))
  const id = textOf(asked['id']) ?? textOf(asked['name']) ?? textOf(answered['id'])
  if (id === undefined) return []
  // Found by its name, like all that happens to an image; which version it was is told beside it.
  const [name, version] = kind === 'image' ? id.split('@') : [id]
  return [{ kind, id: name!, ...(version !== undefined && { details: { version } }) }]
}

/** `{ items, deleted, refused }`, as calls about many machines answer. */
function machinesIn(answer: unknown, kind: string): AuditTarget[] {
  const { items, deleted, refused } = fieldsOf(answer)
  if (!Array.isArray(refused)) return []
  const done = [items, deleted]
    .filter(Array.isArray)
    .flat()
    .map((item: unknown) => ({
      ...machine(textOf(fieldsOf(item)['mac']) ?? String(item), 'machine'),
      ...runOf(kind, fieldsOf(item)),
    }))
  const not = refused.map((item: unknown) => {
    const { mac, error } = fieldsOf(item)
    return { ...machine(String(mac), 'machine'), status: REFUSED_STATUS, details: { error } }
  })
  return [...done, ...not]
}

/** Found by its machine, like all that happens to one; which run it was is told beside it. */
function runOf(kind: string, fields: Record<string, unknown>): Pick<AuditTarget, 'details'> {
  const run = textOf(fields['id'])
  return kind === 'run' && run !== undefined ? { details: { run } } : {}
}

/** A reservation is found by its card, as everything about a machine is. */
function machine(mac: string, kind: string): AuditTarget {
  const id = new RegExp(MAC_PATTERN).test(mac) ? parseMac(mac) : shorten(mac)
  return { kind: kind === 'reservation' ? kind : 'machine', id }
}

/** What was asked for, without secrets, in no more than a few kilobytes. Undefined if nothing was. */
export function detailsOf(body: unknown): unknown {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return undefined
  if (!isPlain(body)) return undefined
  const details = withoutSecrets(body, 0)
  const length = JSON.stringify(details).length
  return length <= MAX_DETAIL_CHARACTERS ? details : { leftOut: `${length} characters` }
}

function withoutSecrets(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return withoutAddress(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_DEPTH) return '…'
  if (Array.isArray(value)) {
    const items = value.slice(0, MAX_ITEMS).map((item) => withoutSecrets(item, depth + 1))
    return value.length > MAX_ITEMS ? [...items, `… ${value.length - MAX_ITEMS} more`] : items
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      shorten(name),
      SECRET_FIELD.test(name) ? '…' : withoutSecrets(item, depth + 1),
    ]),
  )
}

/** The path of a web hook's address is often its secret, and so is what stands before the @. */
function withoutAddress(text: string): string {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text) || !URL.canParse(text)) return shorten(text)
  const { protocol, host } = new URL(text)
  return shorten(`${protocol}//${host}/…`)
}

function shorten(text: string): string {
  return text.length <= MAX_TEXT_CHARACTERS ? text : `${text.slice(0, MAX_TEXT_CHARACTERS)}…`
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? shorten(value) : undefined
}

function fieldsOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

/** No stream or bytes, which some routes take as their body. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}
