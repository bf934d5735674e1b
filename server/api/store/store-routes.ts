import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  RecompressRequestSchema,
  type StoreStatus,
  StoreStatusSchema,
  SweepResultSchema,
} from '#protocol/store.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import { rethrowImageError } from '../library/image-errors.ts'

export interface StoreRoutesOptions {
  status: () => Promise<StoreStatus>
  scrub: () => Promise<void>
  recompress: (request: { enabled?: boolean | undefined }) => Promise<void>
  sweep: () => Promise<number>
}

const tags = ['store']

/** How the chunk store is, and the care of it that somebody wants now. */
export function storeRoutes(options: StoreRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/store',
      {
        schema: {
          tags,
          summary: 'Room, contents, damage, scrub and recompression of the chunk store',
          response: { 200: StoreStatusSchema },
        },
      },
      () => options.status(),
    )

    app.post(
      '/store/scrub',
      {
        config: { access: 'admin', scope: 'settings', audit: 'store.scrub' },
        schema: {
          tags,
          summary: 'Read and hash every chunk from the medium, from now on',
          response: { 202: StoreStatusSchema },
        },
      },
      async (_request, reply) => {
        await options.scrub()
        return reply.code(202).send(await options.status())
      },
    )

    app.post(
      '/store/recompress',
      {
        config: { access: 'admin', scope: 'settings', audit: 'store.recompress' },
        schema: {
          tags,
          summary:
            'Store chunks in fewer bytes as soon as nothing else is to do, or turn that on or off',
          // Fastify's word for no body is null.
          body: Type.Optional(Type.Union([RecompressRequestSchema, Type.Null()])),
          response: { 202: StoreStatusSchema },
        },
      },
      async (request, reply) => {
        await options.recompress(request.body ?? {})
        return reply.code(202).send(await options.status())
      },
    )

    app.post(
      '/store/sweep',
      {
        config: { access: 'admin', scope: 'settings', audit: 'store.sweep' },
        schema: {
          tags,
          summary: 'Remove the chunks that no image needs, and wait for it',
          response: { 200: SweepResultSchema, 409: ErrorSchema },
        },
      },
      async () => ({ removedChunks: await options.sweep().catch(rethrowImageError) }),
    )
  }
}
