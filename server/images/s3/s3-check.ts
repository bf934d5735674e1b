import { randomUUID } from 'node:crypto'
import { StoreFullError, StoreUnreachableError } from '../store/chunk-store.ts'
import type { S3Access } from './s3-access.ts'
import { createS3Client, type S3Client } from './s3-client.ts'
import { S3Error, storeError } from './s3-error.ts'
import { parseObjectPage } from './s3-xml.ts'

/**
 * Throws StoreUnreachableError, whose message says what is wrong with the bucket or the keys and what
 * to do, unless all that a store needs can be done there.
 */
export async function checkS3Store(access: S3Access): Promise<void> {
  await lookAtS3(access)
  using client = createS3Client(access)
  try {
    await checkConditions(client)
  } catch (cause) {
    const err = storeError(access, cause)
    // A full one is served from, and has room again once images were deleted, which takes a server.
    if (!(err instanceof StoreFullError)) throw err
  }
}

/** Throws unless a conditional PUT leaves what is there, and that can be read and removed. */
async function checkConditions(client: S3Client): Promise<void> {
  const key = `check-${randomUUID()}`
  const body = new TextEncoder().encode('Whether this bucket can be a chunk store\n')
  const { headers } = await client.send({ method: 'PUT', key, body })
  const isVersioned = headers['x-amz-version-id'] !== undefined
  try {
    await client.send({ method: 'GET', key })
    await client.send({ method: 'PUT', key, body, headers: { 'if-none-match': '*' } })
    throw unconditional(client.access, isVersioned)
  } catch (err) {
    if (!(err instanceof S3Error)) throw err
    // Some refuse a header that they do not know.
    if ([400, 501].includes(err.status)) throw unconditional(client.access, isVersioned)
    if (err.status !== 412) throw err
  } finally {
    await client.send({ method: 'DELETE', key })
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
    const { origin, pathname } = new URL(access.bucketUrl)
    const remedy =
      pathname === '/'
        ? `as its name begins with that of the bucket, it was asked for this bucket alone; name it otherwise in AWS_ENDPOINT_URL, such as by its IP address`
        : 'check AWS_ENDPOINT_URL'
    throw new StoreUnreachableError(
      `The chunk store ${access.address} is none: ${origin} does not answer as S3 does; ${remedy}`,
      { cause },
    )
  }
}

function unconditional({ address, bucketUrl }: S3Access, isVersioned: boolean): Error {
  const { origin } = new URL(bucketUrl)
  const [where, remedy] = isVersioned
    ? [' in a bucket that keeps versions', 'a bucket without versioning and object lock']
    : ['', "a server that does, such as Amazon's, Ceph's or MinIO's"]
  return new StoreUnreachableError(
    `The chunk store ${address} cannot be used: ${origin} does not heed "If-None-Match: *"${where}, without which one writer of a chunk overwrites another's; use ${remedy}`,
  )
}
