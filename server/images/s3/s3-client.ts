import { hash as digestOf } from 'node:crypto'
import http, { type IncomingHttpHeaders } from 'node:http'
import https from 'node:https'
import { AwsV4Signer } from 'aws4fetch'
import pLimit from 'p-limit'
import pRetry from 'p-retry'
import type { S3Access } from './s3-access.ts'
import { mayPass, S3Error, S3LengthError, S3NetworkError } from './s3-error.ts'

export type S3Request = {
  method: 'GET' | 'HEAD' | 'PUT' | 'DELETE'
  /** Without the prefix; absent: the bucket itself. */
  key?: string
  query?: Record<string, string>
  headers?: Record<string, string>
  body?: Uint8Array
  /** Where the answer's body goes if it fits in. */
  buffer?: Uint8Array | undefined
}

export type S3Answer = { headers: IncomingHttpHeaders; body: Uint8Array }

/** Signed requests to one bucket, some at a time, repeated while that may help. */
export interface S3Client extends Disposable {
  readonly access: S3Access
  /** Throws S3Error for any answer but success, S3LengthError for one that is too long, S3NetworkError for none. */
  send(request: S3Request): Promise<S3Answer>
  /** A URL that answers an object to whoever has it. */
  presign(key: string, seconds: number): Promise<string>
  /** How far the clock of the store is ahead of ours. */
  clockOffsetMilliseconds(): number
}

export interface S3ClientOptions {
  /** How long a server may say nothing. */
  idleMilliseconds?: number
}

/** Of each kind: what only looks must not keep what reads and writes waiting. */
const CONCURRENT_REQUESTS = 32
const IDLE_MILLISECONDS = 10_000
/** With their waits these take 3 to 6 s if the server refuses connections at once. */
const RETRIES = 5
const FIRST_WAIT_MILLISECONDS = 100
const MAX_WAIT_MILLISECONDS = 3000
/** When servers that say nothing have used up so much, in times of silence, nothing is tried again. */
const MAX_RETRY_IDLES = 2
/** Of a list: 1000 keys of at most a kilobyte and what is said of them. */
const MAX_ANSWER_BYTES = 4 * 1024 * 1024
const EMPTY_HASH = digestOf('sha256', '')

export function createS3Client(
  access: S3Access,
  { idleMilliseconds = IDLE_MILLISECONDS }: S3ClientOptions = {},
): S3Client {
  const base = new URL(access.bucketUrl)
  const transport = base.protocol === 'https:' ? https : http
  const agent = new transport.Agent({ keepAlive: true, maxSockets: 2 * CONCURRENT_REQUESTS })
  const limits = { looks: pLimit(CONCURRENT_REQUESTS), others: pLimit(CONCURRENT_REQUESTS) }
  const signingKeys = new Map<string, ArrayBuffer>()
  const { region, accessKeyId, secretAccessKey, sessionToken } = access
  const signing = {
    service: 's3',
    region,
    accessKeyId,
    secretAccessKey,
    cache: signingKeys,
    ...(sessionToken !== undefined && { sessionToken }),
  }
  let clockOffset = 0

  function urlOf(key: string | undefined, query: Record<string, string> = {}): URL {
    const url = new URL(base)
    if (key !== undefined) url.pathname += access.prefix + key
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return url
  }

  async function attempt(request: S3Request): Promise<S3Answer> {
    const { method, body } = request
    const signed = await new AwsV4Signer({
      ...signing,
      method,
      url: urlOf(request.key, request.query).href,
      headers: {
        ...request.headers,
        'x-amz-content-sha256': body ? digestOf('sha256', body) : EMPTY_HASH,
      },
      allHeaders: true,
    }).sign()
    return await exchange(signed.url, Object.fromEntries(signed.headers), request)
  }

  function exchange(
    url: URL,
    headers: Record<string, string>,
    { method, key, body, buffer }: S3Request,
  ): Promise<S3Answer> {
    const what = `${method} ${key ?? 'of the bucket'}`
    const isCopy = headers['x-amz-copy-source'] !== undefined
    return new Promise((resolve, reject) => {
      const outgoing = transport.request(url, {
        method,
        agent: agent as https.Agent,
        headers: { ...headers, ...(body && { 'content-length': body.length }) },
      })
      outgoing.setTimeout(idleMilliseconds, () =>
        outgoing.destroy(new Error(`no answer for ${idleMilliseconds / 1000} s`)),
      )
      outgoing.on('error', (cause) =>
        reject(new S3NetworkError(`${what} failed: ${reasonOf(cause)}`, { cause })),
      )
      outgoing.on('response', (incoming) => {
        const status = incoming.statusCode ?? 0
        const isSuccess = status >= 200 && status < 300
        noteClock(incoming.headers.date)
        collect(incoming, isSuccess ? buffer : undefined).then(
          (bytes) => {
            const isDone = isSuccess && (!isCopy || isCopied(bytes))
            if (isDone) resolve({ headers: incoming.headers, body: bytes })
            else reject(new S3Error(what, isSuccess ? 500 : status, incoming.headers, bytes))
          },
          (cause: Error) =>
            reject(
              cause instanceof S3LengthError
                ? cause
                : new S3NetworkError(`${what} broke off: ${cause.message}`, { cause }),
            ),
        )
      })
      outgoing.end(body)
    })
  }

  function noteClock(date: string | undefined): void {
    const theirs = Date.parse(date ?? '')
    if (!Number.isNaN(theirs)) clockOffset = theirs - Date.now()
  }

  return {
    access,
    clockOffsetMilliseconds: () => clockOffset,

    send(request) {
      const limit = request.method === 'HEAD' ? limits.looks : limits.others
      return limit(() =>
        pRetry(() => attempt(request), {
          retries: RETRIES,
          minTimeout: FIRST_WAIT_MILLISECONDS,
          maxTimeout: MAX_WAIT_MILLISECONDS,
          maxRetryTime: MAX_RETRY_IDLES * idleMilliseconds,
          randomize: true,
          shouldRetry: ({ error }) => mayPass(error),
        }),
      )
    },

    async presign(key, seconds) {
      const url = urlOf(key, { 'X-Amz-Expires': String(seconds) })
      const signed = await new AwsV4Signer({
        ...signing,
        method: 'GET',
        url: url.href,
        signQuery: true,
      }).sign()
      return signed.url.href
    },

    [Symbol.dispose]: () => agent.destroy(),
  }
}

/** A copy may be answered 200 when it begins: whether it came to its end, only the body tells. */
function isCopied(body: Uint8Array): boolean {
  return /<CopyObjectResult[\s>]/.test(new TextDecoder().decode(body))
}

/** Node's own errors have an empty message if several addresses were tried. */
function reasonOf(err: Error): string {
  return err.message || (err as NodeJS.ErrnoException).code || err.name
}

/** The body, in `buffer` if there is one. A connection cut before its end is an error of the stream. */
async function collect(
  incoming: http.IncomingMessage,
  buffer: Uint8Array | undefined,
): Promise<Uint8Array> {
  const pieces: Buffer[] = []
  let length = 0
  for await (const piece of incoming as AsyncIterable<Buffer>) {
    if (length + piece.length > (buffer?.length ?? MAX_ANSWER_BYTES))
      throw new S3LengthError(
        `its answer is longer than ${buffer?.length ?? MAX_ANSWER_BYTES} bytes`,
      )
    if (buffer) buffer.set(piece, length)
    else pieces.push(piece)
    length += piece.length
  }
  return buffer ? buffer.subarray(0, length) : Buffer.concat(pieces, length)
}
