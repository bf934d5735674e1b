import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema } from 'fastify'

/** Operations keep to these groups in the page that one browses. */
const TAGS = [
  { name: 'machines', description: 'Computers, by any of their MAC addresses' },
  { name: 'runs', description: 'Executions of a workflow on a machine' },
  { name: 'images', description: 'Contents of disks' },
  { name: 'dhcp', description: 'Leases and reservations' },
  { name: 'events', description: 'What happens, as it happens' },
  { name: 'agent', description: 'For the agent that works on a machine' },
  { name: 'boot', description: 'For firmware and iPXE' },
]

function isPublic({ config }: { config?: { access?: string } }): boolean {
  return config?.access === 'public'
}

/** A body that no schema may check, since it is a stream of bytes. */
function streamOf({ consumes, body }: FastifySchema): FastifySchema {
  return consumes && body === undefined ? { body: { type: 'string', format: 'binary' } } : {}
}

/**
 * The OpenAPI text and a page to browse it, both without a token: they tell nothing of this server.
 * Call it before any route is registered, since it collects them as they come.
 */
export async function installDocs(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Stampede',
        description: 'Images machines over the network',
        version: '1',
        license: { name: 'Apache-2.0' },
      },
      tags: TAGS,
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    transform: ({ schema, url, route }) => ({
      schema: { ...schema, ...streamOf(schema), ...(isPublic(route) && { security: [] }) },
      url,
    }),
  })
  await app.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'public' }
    })
    await scope.register(swaggerUi, { routePrefix: '/api/docs' })
    scope.get('/api/openapi.json', { schema: { hide: true } }, () => app.swagger())
  })
}
