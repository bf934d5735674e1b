import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  type MigrationRequest,
  MigrationRequestSchema,
  type StoreMigration,
  StoreMigrationSchema,
} from '#protocol/store-migration.ts'
import { ErrorSchema } from '#protocol/shapes.ts'

export interface MigrationRoutesOptions {
  get: () => Promise<StoreMigration>
  start: (request: MigrationRequest) => Promise<StoreMigration>
  cancel: () => Promise<StoreMigration>
}

const tags = ['store']

/** The copy of the chunk store to another one. */
export function migrationRoutes(options: MigrationRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/store/migration',
      {
        schema: {
          tags,
          summary: 'How far the copy of the store to another one is',
          response: { 200: StoreMigrationSchema, 404: ErrorSchema },
        },
      },
      () => options.get(),
    )

    app.post(
      '/store/migration',
      {
        config: { access: 'admin', scope: 'settings', audit: 'store.migrate' },
        schema: {
          tags,
          summary:
            'Copy every chunk to another store, which goes on from where an earlier one ended',
          body: MigrationRequestSchema,
          response: { 202: StoreMigrationSchema, 409: ErrorSchema, 422: ErrorSchema },
        },
      },
      async (request, reply) => reply.code(202).send(await options.start(request.body)),
    )

    app.delete(
      '/store/migration',
      {
        config: { access: 'admin', scope: 'settings', audit: 'store.cancel-migration' },
        schema: {
          tags,
          summary: 'Give the copy up; what was copied stays there',
          response: { 200: StoreMigrationSchema, 404: ErrorSchema },
        },
      },
      () => options.cancel(),
    )
  }
}
