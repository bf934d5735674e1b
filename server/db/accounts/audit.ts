import { and, desc, eq, gte, inArray, like, lt, or } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { AuditEntry } from '#protocol/account.ts'
import type { Database } from '../database.ts'
import { auditEntries } from '../schema.ts'

export interface NewAuditEntry {
  at: Date
  actor: AuditEntry['actor']
  address: string | null
  action: string
  target: AuditEntry['target']
  status: number
  details: unknown
}

export interface AuditFilter {
  /** A user, and the tokens of that user. */
  actor?: string | undefined
  /** An action such as `machine.update`, or all of `machine`. */
  action?: string | undefined
  /** Any of these ids. */
  targets?: string[] | undefined
  from?: Date | undefined
  to?: Date | undefined
}

/** Rows of one statement; Postgres takes 65,535 parameters in all. */
const BATCH_ROWS = 1000

/** Nothing else is ever done to this table: a trigger refuses the rest. */
export async function appendAudit(db: Database, entries: NewAuditEntry[]): Promise<void> {
  const rows = entries.map(({ actor, target, details, ...entry }) => ({
    ...entry,
    actorKind: actor.kind,
    actorName: actor.name,
    targetKind: target?.kind ?? null,
    target: target?.id ?? null,
    details: details ?? null,
  }))
  for (let start = 0; start < rows.length; start += BATCH_ROWS)
    await db.insert(auditEntries).values(rows.slice(start, start + BATCH_ROWS))
}

/** Newest first. */
export async function listAudit(
  db: Database,
  { actor, action, targets, from, to }: AuditFilter,
  { limit, after }: { limit: number; after: number | undefined },
): Promise<{ items: AuditEntry[]; next: string | null }> {
  const { actorName, id, at } = auditEntries
  const rows = await db
    .select()
    .from(auditEntries)
    .where(
      and(
        actor === undefined ? undefined : isOrIsOf(actorName, actor, '/'),
        action === undefined ? undefined : isOrIsOf(auditEntries.action, action, '.'),
        targets && inArray(auditEntries.target, targets),
        from && gte(at, from),
        to && lt(at, to),
        after === undefined ? undefined : lt(id, after),
      ),
    )
    .orderBy(desc(id))
    .limit(limit + 1)
  const items = rows.slice(0, limit).map(toAuditEntry)
  return { items, next: rows.length > limit ? String(items.at(-1)!.id) : null }
}

function isOrIsOf(column: PgColumn, text: string, separator: string) {
  const pattern = text.replaceAll(/[\\%_]/g, String.raw`\$&`)
  return or(eq(column, text), like(column, `${pattern}${separator}%`))
}

function toAuditEntry(row: typeof auditEntries.$inferSelect): AuditEntry {
  return {
    id: row.id,
    at: row.at.toISOString(),
    actor: { kind: row.actorKind, name: row.actorName },
    address: row.address,
    action: row.action,
    target: row.target === null ? null : { kind: row.targetKind ?? '', id: row.target },
    status: row.status,
    ...(row.details !== null && { details: row.details }),
  }
}
