import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { isImageReference } from '#protocol/image/image-reference.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findImageDigest } from '#server/db/images/image-queries.ts'
import { NotFoundError } from '../http/errors.ts'
import { rethrowImageError } from '../library/image-errors.ts'
import type { ImageLibrary } from '../library/image-library.ts'
import { exportedName, sendExport } from './send-export.ts'

export interface ExportRoutesOptions {
  database: OpenedDatabase
  library: ImageLibrary
}

const Params = Type.Object({ file: Type.String() })

/** Whole images for `curl | gunzip | dd`, `zstd -dc`, QEMU, and whatever else reads one of these. */
export function exportRoutes({
  database,
  library,
}: ExportRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.route({
      method: ['GET', 'HEAD'],
      // Without the ending it is a page of the web interface.
      url: '/images/:file(^.+\\.(?:img|img\\.gz|img\\.zst|qcow2)$)',
      // A link that one clicks.
      config: { cookie: true },
      schema: {
        tags: ['images'],
        summary:
          'The whole image as {name}.img.gz, .img.zst, .img (raw) or .qcow2; Range, ETag and If-Range are honoured',
        params: Params,
      },
      handler: async (request, reply) => {
        const { name, format } = exportedName(request.params.file)
        // The name is part of a file's, which no schema looks at.
        const digest = isImageReference(name) ? await findImageDigest(database.db, name) : undefined
        const opened =
          digest && (await library.findExport(parseSha256(digest), format).catch(rethrowImageError))
        // The page of an image whose own name ends like that, read again in a browser.
        if (!opened && request.headers.accept?.includes('text/html'))
          return reply.redirect(`/images?q=${encodeURIComponent(request.params.file)}`)
        if (!opened) throw new NotFoundError(`There is no image "${name}"`)
        return sendExport(request, reply, opened, { fileName: request.params.file })
      },
    })
  }
}
