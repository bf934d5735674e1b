import type { IncomingMessage } from 'node:http'
import busboy from 'busboy'
import type { FastifyInstance } from 'fastify'
import { BadRequestError, RequestError } from '../http/errors.ts'
import { storableText } from '../http/storable.ts'

export interface UploadBody {
  content: AsyncIterable<Uint8Array>
  /** As the uploader calls it. */
  fileName: string | undefined
}

/** A connection over which nothing came for so long is given up. */
const IDLE_MILLISECONDS = 120_000
/** What a refused uploader still sends is read for so long, so that it can read our answer. */
const DISCARD_MILLISECONDS = 10_000
const MAX_PARTS = 100

/** The content of an upload: the body itself, or the first file of a form. */
export function receiveUpload(request: IncomingMessage): UploadBody | Promise<UploadBody> {
  if (isForm(request)) return receiveForm(request)
  return { content: withIdleLimit(request, request), fileName: undefined }
}

/**
 * Lets uploads through unread, whatever they call themselves, but for parts of something that is no
 * form: a Content-Type that is no media type at all would be refused before its route.
 */
export function takeUploads(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  app.addHook('onRequest', async ({ raw }) => {
    if (isForm(raw)) return
    // Its boundaries and headers would become part of the disk.
    if (/^\s*multipart\//i.test(raw.headers['content-type'] ?? ''))
      throw new RequestError(
        415,
        'invalid-media-type',
        'Send the image as the body itself, or in a form of type multipart/form-data',
      )
    raw.headers['content-type'] = 'application/octet-stream'
  })
}

function isForm({ headers }: IncomingMessage): boolean {
  return /^\s*multipart\/form-data\s*(;|$)/i.test(headers['content-type'] ?? '')
}

/** What follows the first file, such as a second closing boundary, is not looked at. */
async function receiveForm(request: IncomingMessage): Promise<UploadBody> {
  const found = Promise.withResolvers<UploadBody>()
  const form = openForm(request)
  let isFirst = true
  form.on('file', (_field, file, { filename }) => {
    // Heard at every moment, or an upload that breaks off would end the process.
    file.on('error', () => {})
    if (!isFirst) return file.resume()
    isFirst = false
    found.resolve({
      content: formContent(withIdleLimit(file, request)),
      fileName: filename ? storableText(filename) : undefined,
    })
  })
  form.on('close', () =>
    found.reject(new BadRequestError('The form has no file; send one part with a file name')),
  )
  form.on('error', (cause) => found.reject(brokenForm(cause)))
  request.on('error', (cause) => form.destroy(cause))
  request.pipe(form)
  return found.promise
}

/** A form that ends before its closing boundary shows here only. */
async function* formContent(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* content
  } catch (cause) {
    throw cause instanceof RequestError ? cause : brokenForm(cause)
  }
}

function openForm({ headers }: IncomingMessage): busboy.Busboy {
  try {
    return busboy({ headers, limits: { parts: MAX_PARTS } })
  } catch (cause) {
    throw brokenForm(cause)
  }
}

function brokenForm(cause: unknown): BadRequestError {
  return new BadRequestError(`The form is not valid: ${(cause as Error).message}`, 'broken-form')
}

export async function* withIdleLimit(
  content: AsyncIterable<Uint8Array>,
  request: IncomingMessage,
): AsyncGenerator<Uint8Array> {
  const iterator = content[Symbol.asyncIterator]()
  const stalled = new RequestError(
    408,
    'upload-stalled',
    `Nothing came for ${IDLE_MILLISECONDS / 1000} seconds; upload the image again`,
  )
  // Not closed at the end: that would cut the connection before the answer is out.
  for (;;) {
    const timer = setTimeout(() => request.destroy(stalled), IDLE_MILLISECONDS)
    const { value, done } = await iterator.next().finally(() => clearTimeout(timer))
    if (done) return
    yield value
  }
}

/**
 * Lets the rest of a refused body pass by for a while. A server that stops waits for none of it:
 * `server/http/http-server.ts`.
 */
export function discardRest(request: IncomingMessage): void {
  request.unpipe()
  // Whoever read it by `for await` and left listens still, and a stream that is listened to so does not
  // flow: nothing would be read, not even that the uploader hung up.
  request.removeAllListeners('readable')
  request.resume()
  if (request.complete || request.destroyed) return
  const timer = setTimeout(() => request.destroy(), DISCARD_MILLISECONDS)
  request.once('close', () => clearTimeout(timer))
}
