import type { S3Answer, S3Client, S3Request } from './s3-client.ts'
import { S3Error, S3ListError, storeError } from './s3-error.ts'
import { type ListedObject, type ObjectPage, parseObjectPage } from './s3-xml.ts'

/** The objects of a store. All that is thrown is an error of a store, or a bug of ours. */
export interface S3Objects {
  /** Undefined for an answer that has one of these statuses, which no missing bucket has. */
  sendUnless(statuses: readonly (404 | 412)[], request: S3Request): Promise<S3Answer | undefined>
  /** False if what is to be copied is gone or another by now. */
  copy(from: string, to: string, etag: string): Promise<boolean>
  /**
   * Removing what is not there is not an error. With a tag, false if it is another by now: S3 heeds that since
   * September 2025; MinIO and older Ceph remove it all the same.
   */
  remove(key: string, etag?: string): Promise<boolean>
  /** In the order of their keys, which come without the prefix of the store. */
  list(prefix: string): AsyncGenerator<ListedObject>
}

export function createS3Objects(client: S3Client): S3Objects {
  const { access } = client

  async function send(request: S3Request): Promise<S3Answer> {
    try {
      return await client.send(request)
    } catch (err) {
      // A HEAD is refused without a word; the same as a GET is told why.
      if (isUnexplained(err, request))
        await client
          .send({ ...request, method: 'GET', headers: { range: 'bytes=0-0' } })
          .catch((told: unknown) => {
            throw storeError(access, told)
          })
      throw err
    }
  }

  function readPage(body: Uint8Array): ObjectPage {
    try {
      return parseObjectPage(new TextDecoder().decode(body))
    } catch (cause) {
      // A TypeError, or the URIError of a name that is not encoded.
      throw storeError(access, new S3ListError((cause as Error).message, { cause }))
    }
  }

  async function sendUnless(
    statuses: readonly number[],
    request: S3Request,
  ): Promise<S3Answer | undefined> {
    try {
      return await send(request)
    } catch (err) {
      const isExpected = err instanceof S3Error && statuses.includes(err.status)
      if (isExpected && isOfObject(err, request)) return undefined
      throw storeError(access, err)
    }
  }

  return {
    sendUnless,

    async copy(from, to, etag) {
      const headers = {
        'x-amz-copy-source': `/${access.bucket}/${access.prefix}${from}`,
        'x-amz-copy-source-if-match': etag,
      }
      return (await sendUnless([404, 412], { method: 'PUT', key: to, headers })) !== undefined
    },

    async remove(key, etag) {
      const condition = etag === undefined ? {} : { headers: { 'if-match': etag } }
      const request = { method: 'DELETE', key, ...condition } as const
      try {
        await send(request)
        return true
      } catch (err) {
        if (err instanceof S3Error && isOfObject(err, request)) {
          // Also after a try whose answer was lost.
          if (err.status === 404) return true
          if (err.status === 412) return false
        }
        throw storeError(access, err)
      }
    },

    async *list(prefix) {
      for (let next: string | undefined = ''; next !== undefined;) {
        const query = {
          'list-type': '2',
          'encoding-type': 'url',
          prefix: access.prefix + prefix,
          ...(next && { 'continuation-token': next }),
        }
        const { body } = (await sendUnless([], { method: 'GET', query }))!
        const page = readPage(body)
        for (const object of page.objects)
          yield { ...object, key: object.key.slice(access.prefix.length) }
        if (page.next === next) throw storeError(access, new S3ListError('a list begins again'))
        next = page.next
      }
    },
  }
}

/**
 * Not of the bucket, nor of what lies between and knows no S3: where no gateway runs, a proxy before it answers
 * 404 to everything. S3 says what is not there, in words, except to HEAD.
 */
function isOfObject({ status, code }: S3Error, { method }: S3Request): boolean {
  return code !== 'NoSuchBucket' && (status !== 404 || code !== '' || method === 'HEAD')
}

/** That there is nothing, or not what was expected, needs no explanation. */
function isUnexplained(err: unknown, { method }: S3Request): boolean {
  return (
    err instanceof S3Error &&
    err.code === '' &&
    method === 'HEAD' &&
    ![404, 412].includes(err.status)
  )
}
