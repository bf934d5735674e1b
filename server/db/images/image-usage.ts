import { and, asc, count, gt, inArray, isNull, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Image } from '#protocol/image/image-info.ts'
import { imageNameOf } from '#protocol/image/image-reference.ts'
import type { ImageVersion } from '#protocol/image/image-version.ts'
import { ACTIVE_RUN_STATES } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '../database.ts'
import { imageVersions, links, machines, runs } from '../schema.ts'

export type ImageUsage = Image['usedBy']
export type VersionUsage = ImageVersion['usedBy']

type Named = { name: string; digest: Sha256 }

/** SQL: the image of `debian-12@3`. */
export function baseName(reference: PgColumn) {
  return sql<string>`split_part(${reference}, '@', 1)`
}

/** SQL to be compared with `wanted`: a name alone means all versions of the image. */
export function namedLike(reference: PgColumn, wanted: string) {
  return wanted.includes('@') ? sql<string>`${reference}` : baseName(reference)
}

/**
 * Who needs each of these images, in whatever version: machines that it is assigned to, and runs that
 * have not ended. A run that deploys the same content under another name counts too, as it has pinned
 * the digest.
 */
export async function findUsage(
  db: Database | Transaction,
  asked: readonly Named[],
): Promise<Map<string, ImageUsage>> {
  const usage = new Map(asked.map(({ name }) => [name, { machines: [], runs: [] } as ImageUsage]))
  if (asked.length === 0) return usage
  const names = asked.map(({ name }) => name)
  const assigned = await db
    .select({ mac: machines.mac, name: machines.name, image: machines.image })
    .from(machines)
    .where(inArray(baseName(machines.image), names))
    .orderBy(asc(machines.name), asc(machines.mac))
  for (const { image, ...machine } of assigned)
    usage.get(imageNameOf(image!))!.machines.push(machine)
  const contents = await findContents(db, asked)
  const active = await listActive(db, names, [
    ...new Set([...contents.values()].flatMap((of) => [...of])),
  ])
  for (const run of active)
    for (const name of names)
      if (
        (run.image !== null && imageNameOf(run.image) === name) ||
        (run.digest !== null && contents.get(name)!.has(run.digest))
      )
        usage.get(name)!.runs.push(run.id)
  return usage
}

/** Digests of all versions of each image. */
async function findContents(
  db: Database | Transaction,
  asked: readonly Named[],
): Promise<Map<string, Set<Sha256>>> {
  const contents = new Map(asked.map(({ name, digest }) => [name, new Set([digest])]))
  const rows = await db
    .select({ image: imageVersions.image, digest: imageVersions.digest })
    .from(imageVersions)
    .where(inArray(imageVersions.image, [...contents.keys()]))
  for (const { image, digest } of rows) contents.get(image)!.add(digest)
  return contents
}

/** Active runs that are about one of these images or contents. */
async function listActive(
  db: Database | Transaction,
  names: readonly string[],
  digests: readonly Sha256[],
) {
  return db
    .select({ id: runs.id, image: runs.image, digest: runs.imageDigest })
    .from(runs)
    .where(
      and(
        inArray(runs.state, [...ACTIVE_RUN_STATES]),
        or(inArray(baseName(runs.image), [...names]), inArray(runs.imageDigest, [...digests])),
      ),
    )
    .orderBy(asc(runs.id))
}

/** Who needs each of these versions of one image for itself, by number. */
export async function findVersionUsage(
  db: Database | Transaction,
  name: string,
  asked: readonly { version: number; digest: Sha256 }[],
  now: Date,
): Promise<Map<number, VersionUsage>> {
  const usage = new Map(
    asked.map(({ version }) => [version, { machines: [], runs: [], links: 0 } as VersionUsage]),
  )
  if (asked.length === 0) return usage
  const references = new Map(asked.map(({ version }) => [`${name}@${version}`, version]))
  const assigned = await db
    .select({ mac: machines.mac, name: machines.name, image: machines.image })
    .from(machines)
    .where(inArray(machines.image, [...references.keys()]))
    .orderBy(asc(machines.name), asc(machines.mac))
  for (const { image, ...machine } of assigned)
    usage.get(references.get(image!)!)!.machines.push(machine)
  const digests = [...new Set(asked.map(({ digest }) => digest))]
  const active = await listActive(db, [], digests)
  const linked = await db
    .select({ digest: links.digest, links: count() })
    .from(links)
    .where(and(inArray(links.digest, digests), isNull(links.runId), gt(links.expiresAt, now)))
    .groupBy(links.digest)
  for (const { version, digest } of asked) {
    const of = usage.get(version)!
    of.runs.push(...active.filter((run) => run.digest === digest).map(({ id }) => id))
    of.links = linked.find((each) => each.digest === digest)?.links ?? 0
  }
  return usage
}
