import { randomUUID } from 'node:crypto'
import { StoreUnreachableError } from '../store/chunk-store.ts'
import type { S3Access } from './s3-access.ts'
import { createS3Client } from './s3-client.ts'
import { S3Error, storeError } from './s3-error.ts'
import { parseObjectPage } from './s3-xml.ts'

/**
 * Throws StoreUnreachableError, whose message says what is wrong with the bucket or the keys and what
 * to do, unless all that a store needs can be done there.
 */
export async function checkS3Store(access: S3Access): Promise<void> {
  await lookAtS3(access)
  using client = createS3Client(access)
  const key = `check-${randomUUID()}`
  const body = new TextEncoder().encode('Whether this bucket can be a chunk store\n')
  try {
    await client.send({ method: 'PUT', key, body })
    await client.send({ method: 'GET', key })
    const isKept = await client
      .send({ method: 'PUT', key, body, headers: { 'if-none-match': '*' } })
      .then(
        () => false,
        (err: unknown) => err instanceof S3Error && err.status === 412,
      )
    await client.send({ method: 'DELETE', key })
    if (!isKept) throw unconditional(access)
  } catch (cause) {
    throw storeError(access, cause)
  }
}

/** Throws StoreUnreachableError unless the bucket can be listed. */
export async function lookAtS3(access: S3Access): Promise<void> {
  using client = createS3Client(access)
  const query = { 'list-type': '2', 'max-keys': '1', prefix: access.prefix }
  try {
    const { body } = await client.send({ method: 'GET', query })
    parseObjectPage(new TextDecoder().decode(body))
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw storeError(access, cause)
    throw new StoreUnreachableError(
      `The chunk store ${access.address} is none: ${new URL(access.bucketUrl).origin} does not answer as S3 does; check AWS_ENDPOINT_URL`,
      { cause },
    )
  }
}

function unconditional({ address, bucketUrl }: S3Access): Error {
  return new StoreUnreachableError(
    `The chunk store ${address} cannot be used: ${new URL(bucketUrl).origin} does not heed "If-None-Match: *", without which one writer of a chunk overwrites another's; use a server that does, such as Amazon's, Ceph's or MinIO's`,
  )
}
