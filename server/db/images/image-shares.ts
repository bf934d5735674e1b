import { asc, count, eq, gt } from 'drizzle-orm'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database } from '../database.ts'
import { recordEvent } from '../events.ts'
import { findImage } from './image-queries.ts'
import { images, imageVersions, manifests } from '../schema.ts'

export interface ManifestShare {
  digest: Sha256
  storedBytes: number
  uniqueBytes: number
}

/** Which contents there are, and in what form: as long as this is equal, so is what they share. */
export async function listCountable(
  db: Database,
): Promise<{ digest: Sha256; layoutHash: Sha256 }[]> {
  return db
    .select({ digest: manifests.digest, layoutHash: manifests.layoutHash })
    .from(manifests)
    .orderBy(asc(manifests.digest))
}

/** Digests that several names or versions have: nothing of them is freed by deleting one. */
export async function findTwins(db: Database): Promise<Set<Sha256>> {
  const rows = await db
    .select({ digest: imageVersions.digest })
    .from(imageVersions)
    .groupBy(imageVersions.digest)
    .having(gt(count(), 1))
  return new Set(rows.map(({ digest }) => digest))
}

/** Keeps what was counted; those that were counted for the first time make an event. */
export async function saveShares(db: Database, shares: readonly ManifestShare[]): Promise<void> {
  const { digest, storedBytes, uniqueBytes } = manifests
  const rows = await db.select({ digest, storedBytes, uniqueBytes }).from(manifests)
  const before = new Map(rows.map((row) => [row.digest, row]))
  for (const share of shares) {
    const known = before.get(share.digest)
    if (known?.storedBytes === share.storedBytes && known.uniqueBytes === share.uniqueBytes)
      continue
    await saveShare(db, share, known?.uniqueBytes === null)
  }
}

async function saveShare(db: Database, share: ManifestShare, isFirst: boolean): Promise<void> {
  const { digest, ...figures } = share
  await db.transaction(async (tx) => {
    await tx.update(manifests).set(figures).where(eq(manifests.digest, digest))
    if (!isFirst) return
    const named = await tx
      .select({ name: images.name })
      .from(images)
      .where(eq(images.digest, digest))
      .orderBy(asc(images.name))
    for (const { name } of named) {
      const image = await findImage(tx, name)
      if (image) recordEvent(tx, 'image', image)
    }
  })
}
