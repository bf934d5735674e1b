import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { NetworkStatusSchema, type NetworkStatus } from '#protocol/network-status.ts'

export interface NetworkRoutesOptions {
  status: () => Promise<NetworkStatus>
}

export function networkRoutes({ status }: NetworkRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/network',
      {
        schema: {
          tags: ['dhcp'],
          summary: 'How machines meet this server, and who else answers DHCP',
          response: { 200: NetworkStatusSchema },
        },
      },
      async () => status(),
    )
  }
}
