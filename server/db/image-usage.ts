import { and, asc, inArray, or } from 'drizzle-orm'
import type { Image } from '#protocol/image-info.ts'
import { ACTIVE_RUN_STATES } from '#protocol/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from './database.ts'
import { machines, runs } from './schema.ts'

export type ImageUsage = Image['usedBy']

type Named = { name: string; digest: Sha256 }

/**
 * Who needs each of these images: machines that it is assigned to, and runs that have not ended. A run
 * that deploys the same content under another name counts too, as it has pinned the digest.
 */
export async function findUsage(
  db: Database | Transaction,
  asked: readonly Named[],
): Promise<Map<string, ImageUsage>> {
  const usage = new Map(asked.map(({ name }) => [name, { machines: [], runs: [] } as ImageUsage]))
  if (asked.length === 0) return usage
  const names = asked.map(({ name }) => name)
  const digests = asked.map(({ digest }) => digest)
  const assigned = await db
    .select({ mac: machines.mac, name: machines.name, image: machines.image })
    .from(machines)
    .where(inArray(machines.image, names))
    .orderBy(asc(machines.name), asc(machines.mac))
  for (const { image, ...machine } of assigned) usage.get(image!)!.machines.push(machine)
  const active = await db
    .select({ id: runs.id, image: runs.image, digest: runs.imageDigest })
    .from(runs)
    .where(
      and(
        inArray(runs.state, [...ACTIVE_RUN_STATES]),
        or(inArray(runs.image, names), inArray(runs.imageDigest, digests)),
      ),
    )
    .orderBy(asc(runs.id))
  for (const run of active)
    for (const { name, digest } of asked)
      if (run.image === name || run.digest === digest) usage.get(name)!.runs.push(run.id)
  return usage
}
