import type { IncomingHttpHeaders } from 'node:http'
import { StoreFullError, StoreUnreachableError } from '../store/chunk-store.ts'
import type { S3Access } from './s3-access.ts'
import { findElement } from './s3-xml.ts'

/** What a server answered that did not do what it was asked. */
export class S3Error extends Error {
  override name = 'S3Error'
  readonly status: number
  /** The server's name for it, `NoSuchBucket`; empty if it gave none, as for every HEAD. */
  readonly code: string
  readonly headers: IncomingHttpHeaders

  constructor(what: string, status: number, headers: IncomingHttpHeaders, body: Uint8Array) {
    const text = new TextDecoder().decode(body.subarray(0, LONGEST_ERROR_BYTES))
    const code = findElement(text, 'Code') ?? ''
    const message = findElement(text, 'Message')
    super(`${what} was answered ${[status, code, message].filter(Boolean).join(' ')}`)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

const LONGEST_ERROR_BYTES = 16_384
const FULL = ['QuotaExceeded', 'XMinioStorageFull', 'InsufficientCapacity', 'EntityTooLarge']

/** What was answered does not fit where it was to go, and will not the next time. */
export class S3LengthError extends Error {
  override name = 'S3LengthError'
}

/** What should be a page of a list is none. */
export class S3ListError extends Error {
  override name = 'S3ListError'
}

/** 409: another conditional request for the same key was faster by a hair, and may yet fail. */
export function mayPass(err: unknown): boolean {
  if (!(err instanceof S3Error)) return !(err instanceof S3LengthError)
  if (err.code === 'RequestTimeout') return true
  return [408, 409, 429, 500, 502, 503, 504].includes(err.status) && !isFull(err)
}

function isFull({ status, code }: S3Error): boolean {
  return status === 507 || FULL.includes(code)
}

/** What a caller of the store is told; errors that are ours already stay what they are. */
export function storeError(access: S3Access, cause: unknown): unknown {
  if (cause instanceof StoreUnreachableError || cause instanceof StoreFullError) return cause
  if (cause instanceof S3Error && isFull(cause))
    return new StoreFullError(
      `The chunk store ${access.address} is full (${cause.code || cause.status}); raise its quota or delete images`,
      { cause },
    )
  if (cause instanceof S3LengthError || cause instanceof S3ListError)
    return new StoreUnreachableError(`The chunk store ${access.address} ${strangeness(cause)}`, {
      cause,
    })
  if (cause instanceof S3Error || isNetworkError(cause))
    return new StoreUnreachableError(
      `The chunk store ${access.address} ${cause instanceof S3Error ? refusal(access, cause) : absence(access, cause)}`,
      { cause },
    )
  return cause
}

/** Given to us by `http`: everything else that is thrown is a bug of ours. */
export class S3NetworkError extends Error {
  override name = 'S3NetworkError'
}

function isNetworkError(err: unknown): err is S3NetworkError {
  return err instanceof S3NetworkError
}

/** What OpenSSL calls a certificate that nobody vouches for whom this server knows. */
const OF_UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
])

function absence({ bucketUrl }: S3Access, { message, cause }: S3NetworkError): string {
  if (OF_UNKNOWN_AUTHORITY.has(String((cause as NodeJS.ErrnoException | undefined)?.code)))
    return `cannot be trusted: the certificate of ${new URL(bucketUrl).origin} is of an unknown authority; if it is yours, name the authority's file in NODE_EXTRA_CA_CERTS and start again`
  return `does not answer: ${message}; check that ${new URL(bucketUrl).origin} (AWS_ENDPOINT_URL) is reachable from this server`
}

function strangeness({ message }: Error): string {
  return `does not answer as S3 does: ${message}; check AWS_ENDPOINT_URL, and what lies between`
}

function refusal(access: S3Access, err: S3Error): string {
  switch (err.code) {
    case 'NoSuchBucket':
      return `does not exist: ${new URL(access.bucketUrl).origin} has no bucket "${access.bucket}"; create it, or correct STAMPEDE_STORE`
    case 'InvalidAccessKeyId':
      return `does not know the access key "${access.accessKeyId}"; check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL`
    case 'SignatureDoesNotMatch':
      return `refuses the signature of the access key "${access.accessKeyId}"; check AWS_SECRET_ACCESS_KEY`
    case 'ExpiredToken':
    case 'InvalidToken':
    case 'TokenRefreshRequired':
      return `refuses the session token (${err.code}); set a new AWS_SESSION_TOKEN with its keys and start again`
    case 'RequestTimeTooSkewed':
      return `refuses requests because ${skew(err)}; set both clocks by NTP`
    case 'InvalidObjectState':
      return `has objects that were archived (${err.message}); restore them, and let no life-cycle rule archive what is there`
    case 'AuthorizationHeaderMalformed':
    case 'PermanentRedirect':
    case 'IllegalLocationConstraintException':
      return `is in another region${region(err)} than "${access.region}"; set AWS_REGION to that of the bucket (${err.message})`
  }
  if (err.status === 404 && err.code === '') return strangeness(err)
  if (err.status === 403)
    return `refuses the access key "${access.accessKeyId}" (${err.message}); it needs s3:GetObject, s3:PutObject and s3:DeleteObject in the bucket, and s3:ListBucket`
  if (err.status === 301 || err.status === 307)
    return `is elsewhere${region(err)}; set AWS_REGION or AWS_ENDPOINT_URL to where the bucket is`
  return `does not work: ${err.message}`
}

function skew({ headers }: S3Error): string {
  const theirs = Date.parse(headers.date ?? '')
  const ours = Date.now()
  if (Number.isNaN(theirs)) return "its clock and this server's differ too much"
  const minutes = Math.round(Math.abs(ours - theirs) / 60_000)
  const iso = (time: number) => new Date(time).toISOString().slice(0, 19) + 'Z'
  return `its clock says ${iso(theirs)} and this server's ${iso(ours)}, ${minutes} minutes apart`
}

function region({ headers }: S3Error): string {
  const name = headers['x-amz-bucket-region']
  return typeof name === 'string' ? ` ("${name}")` : ''
}
