import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DISK_FORMATS, type DiskFormat } from '#server/images/export/disk-format.ts'
import { EXPORT_FORMATS, type ExportFormat } from '#server/images/export/export-format.ts'
import { parseRange } from '../http/byte-range.ts'
import { NotFoundError, RequestError } from '../http/errors.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { OpenedExport } from '../library/image-exports.ts'
import { sendPieces } from '../http/send-pieces.ts'

export interface SendExportOptions {
  /** For a file manager that saves what it got. */
  fileName: string
  /** Called once the whole image went out in this one answer. */
  onDelivered?: (bytes: number) => Promise<void>
}

const OF_FILE = ['etag', 'accept-ranges', 'content-disposition', 'content-length', 'content-range']

/** Answers with the image or the range asked for (RFC 9110 §13 and §14), HEAD included. */
export async function sendExport(
  request: FastifyRequest,
  reply: FastifyReply,
  opened: OpenedExport,
  { fileName, onDelivered }: SendExportOptions,
): Promise<FastifyReply> {
  const { totalBytes, etag } = opened
  // Never Content-Encoding: the image is the compressed file, and clients unpack it themselves.
  void reply
    .type(opened.format.mediaType)
    .header('etag', etag)
    .header('accept-ranges', 'bytes')
    .header('cache-control', 'private, no-cache')
    .header('content-disposition', `attachment; filename="${fileName}"`)
  if (isListed(request.headers['if-none-match'], etag)) return reply.code(304).send()
  if (request.headers['if-match'] !== undefined && !isListed(request.headers['if-match'], etag))
    throw new RequestError(412, 'image-changed', 'The image is not the one of the If-Match header')

  const ifRange = request.headers['if-range']
  const isCurrent = ifRange === undefined || ifRange === etag
  const range = isCurrent ? parseRange(request.headers.range, totalBytes) : 'whole'
  if (range === 'unsatisfiable') {
    void reply.header('content-range', `bytes */${totalBytes}`)
    const message = `The range "${request.headers.range}" is beyond the end: there are ${totalBytes} bytes`
    throw new RequestError(416, 'range-not-satisfiable', message)
  }
  const { start, end } = range === 'whole' ? { start: 0, end: totalBytes } : range
  void reply.header('content-length', end - start)
  if (range !== 'whole')
    void reply.code(206).header('content-range', `bytes ${start}-${end - 1}/${totalBytes}`)
  if (request.method === 'HEAD') return reply.send(Readable.from([]))
  if (range === 'whole' && onDelivered) notifyDelivery(request, reply, totalBytes, onDelivered)
  return await sendPieces(reply, opened.lend({ start, end })).catch((err: unknown) => {
    // An error is no file to save, nor a part of one.
    for (const name of OF_FILE) void reply.removeHeader(name)
    return rethrowImageError(err)
  })
}

/** No client tells that it got everything; that its socket took the last byte is all we know. */
function notifyDelivery(
  request: FastifyRequest,
  reply: FastifyReply,
  totalBytes: number,
  onDelivered: (bytes: number) => Promise<void>,
): void {
  reply.raw.once('finish', () => {
    onDelivered(totalBytes).catch((err: unknown) =>
      request.log.error({ err }, 'Delivered image could not be recorded'),
    )
  })
}

function isListed(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  const tags = header.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return tags.includes('*') || tags.includes(etag)
}

export const EXPORT_SUFFIX = '.img.gz'

const FORMATS = [...EXPORT_FORMATS, ...DISK_FORMATS]

/** What is asked for as `debian-13.img.gz`. Throws NotFoundError. */
export function exportedName(fileName: string): {
  name: string
  format: ExportFormat | DiskFormat
} {
  const format = FORMATS.find(({ suffix }) => fileName.endsWith(suffix))
  if (!format) {
    const suffixes = FORMATS.map(({ suffix }) => suffix).join(' or ')
    throw new NotFoundError(`There is no "${fileName}"; images end in ${suffixes}`)
  }
  return { name: fileName.slice(0, -format.suffix.length), format }
}
