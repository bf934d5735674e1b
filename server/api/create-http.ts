import type { Server } from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import Fastify, {
  LogController,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
} from 'fastify'
import { limitAnonymousBodies } from './access/anonymous-bodies.ts'
import { installAuth, type AuthOptions } from './access/auth.ts'
import { BadRequestError, installErrorHandler, UnavailableError } from './http/errors.ts'
import { installJsonParser } from './http/json-body.ts'
import { buildSerializers } from './http/serializers.ts'
import { compileValidator } from './http/validator.ts'

/** Of JSON bodies; routes that take images or chunks set their own. */
const MAX_BODY_BYTES = 4 * 1024 * 1024
/** Of bodies that come at the same time from callers who are not known yet. */
const MAX_ANONYMOUS_BYTES = 256 * 1024 * 1024
const MAX_PARAM_CHARACTERS = 256
/** Headers must arrive within this; bodies may take as long as bytes keep coming. */
const HEADERS_TIMEOUT_MILLISECONDS = 30_000
const KEEP_ALIVE_MILLISECONDS = 75_000
/** A connection on which nothing moves is cut; while a large image is checked, that takes long. */
const IDLE_MILLISECONDS = 3_600_000

export interface HttpOptions extends AuthOptions {
  log: FastifyBaseLogger
}

/** A Fastify with our validation, errors and tokens, and no routes yet. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const app = Fastify({
    loggerInstance: options.log,
    bodyLimit: MAX_BODY_BYTES,
    schemaController: { compilersFactory: { buildSerializer: buildSerializers } },
    routerOptions: { maxParamLength: MAX_PARAM_CHARACTERS },
    // Uploads of a terabyte take hours; a stalled one ends by the route's own idle limit.
    requestTimeout: 0,
    connectionTimeout: IDLE_MILLISECONDS,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    forceCloseConnections: 'idle',
    // Its answer is not in the form of our errors.
    return503OnClosing: false,
    frameworkErrors: answerImpossiblePath,
    clientErrorHandler: answerMalformed,
    // One line a request would drown the log in chunks, and Fastify's hold tokens of links.
    logController: new LogController({ disableRequestLogging: true }),
  })
  app.server.headersTimeout = HEADERS_TIMEOUT_MILLISECONDS
  app.server.on('connection', rememberAddress)
  app.setValidatorCompiler(compileValidator)
  installJsonParser(app)
  installErrorHandler(app)
  refuseWhileClosing(app)
  installAuth(app, options)
  limitAnonymousBodies(app, { mostBytes: MAX_ANONYMOUS_BYTES, bodyBytes: MAX_BODY_BYTES })
  refuseNul(app)
  app.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions } = request
    const milliseconds = Math.round(reply.elapsedTime)
    request.log.debug(
      { method, route: routeOptions.url, status: reply.statusCode, milliseconds },
      'Answered',
    )
    done()
  })
  return app
}

/** What comes on connections that are still open while the server stops; what is under way goes on. */
function refuseWhileClosing(app: FastifyInstance): void {
  let isClosing = false
  app.addHook('preClose', async () => void (isClosing = true))
  app.addHook('onRequest', (_request, _reply, done) => {
    if (!isClosing) return done()
    done(new UnavailableError('The server stops; ask again when it is back', 'stopping'))
  })
}

/**
 * Postgres stores no NUL and looks for none: a question with one would fail, and what was done with one
 * would be missing in the audit log. A body's become U+FFFD: json-body.ts.
 */
function refuseNul(app: FastifyInstance): void {
  app.addHook('onRequest', (request, _reply, done) => {
    if (!request.url.includes('%00')) return done()
    done(new BadRequestError('The address holds a NUL character ("%00"); leave it out'))
  })
}

/** For a server beside Fastify's own: the same limits and the same words. */
export function tuneServer(server: Server): void {
  server.requestTimeout = 0
  server.headersTimeout = HEADERS_TIMEOUT_MILLISECONDS
  server.keepAliveTimeout = KEEP_ALIVE_MILLISECONDS
  server.setTimeout(IDLE_MILLISECONDS)
  server.on('secureConnection', rememberAddress)
  server.on('clientError', answerMalformed)
}

/**
 * Node asks the kernel when it is first asked, and keeps the answer: the audit log would otherwise not
 * know where somebody came from who was gone before the answer.
 */
function rememberAddress(socket: Socket): void {
  void socket.remoteAddress
}

/** A path that no route could have, such as /%zz: beyond the error handler's reach. */
function answerImpossiblePath(error: Error, _request: unknown, reply: FastifyReply): void {
  const body = errorText('bad-request', error.message)
  void reply.code(400).type('application/json').send(body)
}

/** What is no HTTP at all, or too much of it, before there is a request to answer. */
function answerMalformed(error: Error & { code?: string }, socket: Duplex): void {
  const [status, code, message] = MALFORMED[error.code ?? ''] ?? [
    '400 Bad Request',
    'bad-request',
    'What came is no HTTP request',
  ]
  const body = errorText(code, message)
  if (socket.writable)
    socket.write(
      `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
    )
  socket.destroy()
}

const MALFORMED: Record<string, [status: string, code: string, message: string]> = {
  ERR_HTTP_REQUEST_TIMEOUT: [
    '408 Request Timeout',
    'timeout',
    `The headers did not come within ${HEADERS_TIMEOUT_MILLISECONDS / 1000} seconds`,
  ],
  HPE_HEADER_OVERFLOW: ['431 Headers Too Large', 'headers-too-large', 'The headers exceed 16 KiB'],
}

function errorText(code: string, message: string): string {
  return JSON.stringify({ error: { code, message } })
}
