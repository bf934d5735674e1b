import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, FastifySchema, RouteOptions } from 'fastify'
import { Type } from 'typebox'
import { defaultAccess } from '../access/access.ts'
import { EXAMPLES } from '../examples/all.ts'
import { takesIdempotencyKey } from '../idempotency.ts'
import type { Document } from '../openapi/document.ts'
import { finishDocument } from '../openapi/finish.ts'
import { NAMED_SCHEMAS } from '../openapi/schemas.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route answers with an ETag, and heeds If-None-Match (GET) or If-Match (changes). */
    tagged?: boolean
  }
}

/** Operations keep to these groups in the page that one browses. */
const TAGS = [
  { name: 'machines', description: 'Computers, by any of their MAC addresses' },
  { name: 'plans', description: 'What would happen to which disks, to be read before it does' },
  { name: 'runs', description: 'Executions of a workflow on a machine' },
  { name: 'images', description: 'Contents of disks' },
  { name: 'network', description: 'How machines find this server' },
  { name: 'dhcp', description: 'Leases and reservations' },
  { name: 'events', description: 'What happens, as it happens' },
  { name: 'webhooks', description: 'What happens, sent to other programs' },
  { name: 'accounts', description: 'Sessions, users, tokens and the audit log' },
  { name: 'system', description: 'How the server is' },
  { name: 'chunks', description: 'Pieces of images, by their SHA-256' },
  { name: 'store', description: 'Where chunks lie, the care of them, and moving them' },
  { name: 'agent', description: 'For the agent that works on a machine' },
  { name: 'boot', description: 'For firmware and iPXE' },
]

const DESCRIPTION = `Images machines over the network.

- Lists are \`{ items, next }\`; send \`next\` as \`after\` for the following page.
- Every failure is \`{ error: { code, message, details? } }\`: \`code\` is for programs, \`message\` for people.
- A resource with an \`ETag\` is changed without loss by sending it back as \`If-Match\`: 412 says that somebody was faster.
  The tag covers what an operator edits, not state and times.
- A POST with an \`Idempotency-Key\` can be sent again: within 24 hours it does nothing twice, and its
  answer comes again with the header \`Idempotent-Replayed: true\`.
- \`GET /api/events\` tells what happens as it happens, and goes on where one left off.`

const SECURITY_SCHEMES = {
  token: {
    type: 'http',
    scheme: 'bearer',
    description: 'An API token, the admin token, or what an agent got when it said hello',
  },
  session: {
    type: 'apiKey',
    in: 'cookie',
    name: 'stampede_session',
    description: 'Of a browser. Calls that change something also carry X-CSRF-Token',
  },
} as const

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
        description: DESCRIPTION,
        version: '1',
        license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
      },
      tags: TAGS,
      components: { securitySchemes: SECURITY_SCHEMES },
    },
    transform: ({ schema, url, route }) => ({ schema: describeRoute(schema ?? {}, route), url }),
    transformObject: (collected) => {
      if (!('openapiObject' in collected)) return collected.swaggerObject
      const options = { schemas: NAMED_SCHEMAS, examples: EXAMPLES }
      const document = collected.openapiObject as unknown as Document
      return finishDocument(document, options) as unknown as typeof collected.openapiObject
    },
  })
  await app.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'public' }
    })
    // Its policy asks for HTTPS, which would leave the page blank on plain HTTP, and forbids styles
    // that the page itself writes.
    await scope.register(swaggerUi, {
      routePrefix: '/api/docs',
      staticCSP: true,
      transformStaticCSP: (policy) =>
        policy
          .replace(/;?\s*upgrade-insecure-requests/, '')
          .replace(/style-src [^;]*/, "style-src 'self' 'unsafe-inline'"),
    })
    scope.get('/api/openapi.json', { schema: { hide: true } }, () => app.swagger())
  })
}

/** What the configuration of a route says beside its schema. */
function describeRoute(schema: FastifySchema, route: RouteOptions): FastifySchema {
  const [method = 'GET'] = [route.method].flat()
  const access = route.config?.access ?? defaultAccess(method)
  return {
    ...schema,
    ...streamOf(schema),
    ...headersOf(schema, route, method),
    security: securityOf(access),
    'x-access': access,
    ...(route.config?.scope && { 'x-scope': route.config.scope }),
    'x-takes-key': takesIdempotencyKey(route),
    'x-tagged': route.config?.tagged === true,
  } as FastifySchema
}

function securityOf(access: string): Record<string, string[]>[] {
  if (access === 'public') return []
  return access === 'agent' ? [{ token: [] }] : [{ token: [] }, { session: [] }]
}

/** Bodies that no schema may check, since they are streams of bytes. */
function streamOf({ consumes, produces, body, response }: FastifySchema): FastifySchema {
  const bytes = { type: 'string', format: 'binary' }
  return {
    ...(consumes && body === undefined && { body: bytes }),
    ...(produces && response === undefined && { response: { 200: bytes } }),
  }
}

/** Headers that helpers read, whatever the route. */
function headersOf(schema: FastifySchema, route: RouteOptions, method: string): FastifySchema {
  const own = (schema.headers as { properties?: object } | undefined)?.properties
  const tagHeader = method === 'GET' ? 'if-none-match' : 'if-match'
  const headers = {
    ...own,
    ...(route.config?.tagged && { [tagHeader]: header('The ETag of an earlier answer') }),
    ...(takesIdempotencyKey(route) && {
      'idempotency-key': header('Makes it safe to send this again'),
    }),
  }
  return Object.keys(headers).length > 0 ? { headers: Type.Object(headers) } : {}
}

function header(description: string) {
  return Type.Optional(Type.String({ description, maxLength: 1024 }))
}
