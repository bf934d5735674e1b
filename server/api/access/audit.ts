import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AuditEntry } from '#protocol/account.ts'
import { appendAudit, type NewAuditEntry } from '#server/db/accounts/audit.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { createCounter, type Limit } from './attempts.ts'
import { actorOf, detailsOf, targetsOf, type AuditTarget } from './audit-entry.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the audit log calls this change, such as `machine.update`: `<kind of target>.<verb>`. */
    audit?: string
    /** Statuses that are no entry: of calls that are only a part of what another one ends. */
    auditUnless?: readonly number[]
  }
  interface FastifyRequest {
    auditNote: AuditNote | undefined
  }
}

/** What only the handler knows. */
export interface AuditNote {
  actor?: AuditEntry['actor']
  targets?: AuditTarget[]
  details?: unknown
}

/** Answers that are read for what they were about; longer ones are no lists of machines. */
const MAX_ANSWER_CHARACTERS = 32 * 1024 * 1024
/** Nobody may fill the disk with refusals. */
const ANONYMOUS_OF_ADDRESS: Limit = { most: 60, seconds: 60 }
const ANONYMOUS_OF_ALL: Limit = { most: 600, seconds: 60 }

/** Says more about this call than can be seen from outside. */
export function noteAudit(request: FastifyRequest, note: AuditNote): void {
  request.auditNote = { ...request.auditNote, ...note }
}

/**
 * Writes who did what, before the answer goes out: whoever got an answer finds it in the log. Refused
 * attempts are there too.
 */
export function installAudit(
  app: FastifyInstance,
  { database, now }: { database: OpenedDatabase; now: () => Date },
): void {
  const perAddress = createCounter(ANONYMOUS_OF_ADDRESS, now)
  const inAll = createCounter(ANONYMOUS_OF_ALL, now)

  function isFlood({ actor, address }: NewAuditEntry): boolean {
    if (actor.kind !== 'anonymous') return false
    const key = address ?? ''
    if (perAddress.secondsToWait(key) > 0 || inAll.secondsToWait('') > 0) return true
    perAddress.add(key)
    inAll.add('')
    return false
  }

  app.decorateRequest('auditNote', undefined)
  app.addHook('onSend', async (request, reply, payload) => {
    const { audit, auditUnless } = request.routeOptions.config
    if (audit === undefined || request.is404 || auditUnless?.includes(reply.statusCode))
      return payload
    const entries = entriesOf(request, reply, { action: audit, payload, at: now() })
    if (entries.some(isFlood)) return payload
    await appendAudit(database.db, entries).catch((err: unknown) => {
      // What was done is done: the answer must say so, and the log keeps what the table could not.
      request.log.error({ err, entries }, 'The audit log could not be written')
    })
    return payload
  })
}

function entriesOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { action, payload, at }: { action: string; payload: unknown; at: Date },
): NewAuditEntry[] {
  const { principal, params, body, ip, auditNote: note } = request
  const answer = answerOf(reply, payload)
  const targets = note?.targets ?? targetsOf({ action, params, body, answer })
  const details = note && 'details' in note ? note.details : detailsOf(body)
  const entry = {
    at,
    actor: note?.actor ?? actorOf(principal),
    address: ip,
    action,
    status: reply.statusCode,
    details: reply.statusCode < 400 ? details : withReason(details, answer),
  }
  if (targets.length === 0) return [{ ...entry, target: null }]
  return targets.map(({ kind, id, status, details: own }) => ({
    ...entry,
    target: { kind, id },
    status: status ?? entry.status,
    details: own === undefined ? entry.details : { ...(entry.details as object), ...own },
  }))
}

/** Why it was refused: the code, since a sentence may repeat what was sent. */
function withReason(details: unknown, answer: unknown): unknown {
  const code = (answer as { error?: { code?: unknown } } | undefined)?.error?.code
  return code === undefined ? details : { ...(details as object | undefined), refused: code }
}

function answerOf(reply: FastifyReply, payload: unknown): unknown {
  const type = String(reply.getHeader('content-type') ?? '')
  if (typeof payload !== 'string' || payload.length > MAX_ANSWER_CHARACTERS) return undefined
  if (!type.includes('json')) return undefined
  try {
    return JSON.parse(payload) as unknown
  } catch {
    return undefined
  }
}
