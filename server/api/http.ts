import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import { installAuth, type AuthOptions } from './auth.ts'
import { installErrorHandler } from './errors.ts'
import { installJsonParser } from './json-body.ts'

/** Of JSON bodies; routes that take images or chunks set their own. */
const MAX_BODY_BYTES = 4 * 1024 * 1024
const MAX_PARAM_CHARACTERS = 256
/** Headers must arrive within this; bodies may take as long as bytes keep coming. */
const HEADERS_TIMEOUT_MILLISECONDS = 30_000
const KEEP_ALIVE_MILLISECONDS = 75_000

export interface HttpOptions extends AuthOptions {
  log: FastifyBaseLogger
}

/** A Fastify with our validation, errors and tokens, and no routes yet. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const app = Fastify({
    loggerInstance: options.log,
    bodyLimit: MAX_BODY_BYTES,
    routerOptions: { maxParamLength: MAX_PARAM_CHARACTERS },
    // Uploads of a terabyte take hours; a stalled one ends by the route's own idle limit.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    forceCloseConnections: 'idle',
    return503OnClosing: true,
    // One line a request would drown the log in chunks, and Fastify's hold tokens of links.
    logController: new LogController({ disableRequestLogging: true }),
  })
  app.server.headersTimeout = HEADERS_TIMEOUT_MILLISECONDS
  app.setValidatorCompiler(TypeBoxValidatorCompiler)
  installJsonParser(app)
  installErrorHandler(app)
  installAuth(app, options)
  app.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions } = request
    const milliseconds = Math.round(reply.elapsedTime)
    request.log.debug(
      { method, route: routeOptions.url, status: reply.statusCode, milliseconds },
      'Answered',
    )
  })
  return app
}
