import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SystemStatusSchema, type SystemStatus } from '#protocol/system-status.ts'

export interface SystemRoutesOptions {
  status: () => Promise<SystemStatus>
}

export function systemRoutes({ status }: SystemRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/system',
      {
        schema: {
          tags: ['system'],
          summary: 'Version, database and store of this server, and what is not well with it',
          response: { 200: SystemStatusSchema },
        },
      },
      async () => status(),
    )
  }
}
