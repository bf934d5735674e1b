import { createHash } from 'node:crypto'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import { images, imageVersions, manifests } from '#server/db/schema.ts'
import type { TestApp } from './test-app.ts'

/** An image that has a record and no content: enough for whoever never reads it. */
export async function addImage(
  app: TestApp,
  name: string,
  { sizeBytes = 1024, sectorBytes = 512, info = {} as ImageInfo, content = name } = {},
): Promise<Sha256> {
  const digest = parseSha256(createHash('sha256').update(content).digest('hex'))
  const { db } = app.database
  await db
    .insert(manifests)
    .values({
      digest,
      bytes: new Uint8Array(),
      sizeBytes,
      sectorBytes,
      storedBytes: 10,
      contentBytes: 10,
      exportBytes: 100,
      layoutHash: digest,
    })
    .onConflictDoNothing()
  await db
    .insert(images)
    .values({ name, digest, info })
    .onConflictDoUpdate({ target: images.name, set: { digest, info } })
  const row = { digest, info, createdAt: new Date() }
  await db
    .insert(imageVersions)
    .values({ image: name, version: 1, ...row })
    .onConflictDoUpdate({ target: [imageVersions.image, imageVersions.version], set: row })
  return digest
}
