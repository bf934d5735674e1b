import type { FastifyError, FastifyInstance, FastifyRequest } from 'fastify'
import { explainProblems } from '#protocol/schema-problems.ts'
import { isDatabaseAway, isDatabaseBusy, isDiskFull } from '#server/db/failures.ts'
import { RunRefusedError } from '#server/runs/refused.ts'

/** What a caller did wrong, as a status, a stable code and a finished sentence. */
export class RequestError extends Error {
  override name = 'RequestError'
  readonly status: number
  /** Kebab-case, for programs; part of the API. */
  readonly code: string
  readonly details: unknown

  constructor(status: number, code: string, message: string, details?: unknown) {
    super(message)
    this.status = status
    this.code = code
    this.details = details
  }
}

export class BadRequestError extends RequestError {
  override name = 'BadRequestError'
  constructor(message: string, code = 'bad-request', details?: unknown) {
    super(400, code, message, details)
  }
}

/** No token, or one that is not, or no longer, valid. */
export class UnauthorizedError extends RequestError {
  override name = 'UnauthorizedError'
  constructor(message: string, code = 'unauthorized', details?: unknown) {
    super(401, code, message, details)
  }
}

/** A valid token that does not allow this. */
export class ForbiddenError extends RequestError {
  override name = 'ForbiddenError'
  constructor(message: string, code = 'forbidden', details?: unknown) {
    super(403, code, message, details)
  }
}

export class NotFoundError extends RequestError {
  override name = 'NotFoundError'
  constructor(message: string, code = 'not-found', details?: unknown) {
    super(404, code, message, details)
  }
}

export class ConflictError extends RequestError {
  override name = 'ConflictError'
  constructor(message: string, code = 'conflict', details?: unknown) {
    super(409, code, message, details)
  }
}

/** If-Match names another version than the current one: somebody else was faster. */
export class PreconditionFailedError extends RequestError {
  override name = 'PreconditionFailedError'
  constructor(message: string, details?: unknown) {
    super(412, 'precondition-failed', message, details)
  }
}

/** Well-formed, but it makes no sense. */
export class UnprocessableError extends RequestError {
  override name = 'UnprocessableError'
  constructor(message: string, code = 'unprocessable', details?: unknown) {
    super(422, code, message, details)
  }
}

/** We cannot right now, and the same request may work later. */
export class UnavailableError extends RequestError {
  override name = 'UnavailableError'
  constructor(message: string, code = 'unavailable', details?: unknown) {
    super(503, code, message, details)
  }
}

/** Somebody who tries too often. */
export class TooManyAttemptsError extends RequestError {
  override name = 'TooManyAttemptsError'
  readonly retryAfterSeconds: number

  constructor(retryAfterSeconds: number) {
    super(
      429,
      'too-many-attempts',
      `Too many failed attempts; try again in ${retryAfterSeconds} seconds`,
      { retryAfterSeconds },
    )
    this.retryAfterSeconds = retryAfterSeconds
  }
}

/** When somebody who was turned away for now may ask again. */
const RETRY_SECONDS = 10

interface Answer {
  status: number
  body: { error: { code: string; message: string; details?: unknown } }
}

/** The only place that answers errors. */
export function installErrorHandler(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const { status, body } = answerFor(error, request)
    if (status === 401) void reply.header('www-authenticate', 'Bearer')
    if (status === 503) void reply.header('retry-after', RETRY_SECONDS)
    if (error instanceof TooManyAttemptsError)
      void reply.header('retry-after', error.retryAfterSeconds)
    return reply.code(status).serializer(JSON.stringify).type('application/json').send(body)
  })
  app.setNotFoundHandler((request) => {
    throw new NotFoundError(`There is no ${request.method} ${request.url.split('?', 1)[0]}`)
  })
}

function answerFor(error: FastifyError, request: FastifyRequest): Answer {
  if (error instanceof RunRefusedError)
    return answer(error.status, error.code, error.message, error.details)
  if (error instanceof RequestError) {
    return answer(error.status, error.code, error.message, error.details)
  }
  if (error.validation) return validationAnswer(error)
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return answer(415, codeOf(error), 'Send JSON, with the header "Content-Type: application/json"')
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return answer(413, codeOf(error), 'The body is larger than this call takes; send less at once')
  // Fastify's own: a body that is no JSON, …
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return answer(error.statusCode, codeOf(error), error.message)
  }
  const { method, routeOptions } = request
  if (hasGoneAway(error, request)) {
    request.log.debug({ method, route: routeOptions.url }, 'The caller went away')
    return answer(400, 'cut-off', 'The connection was cut before all of the request had come')
  }
  request.log.error({ err: error, method, route: routeOptions.url }, 'Failed to answer')
  if (isDiskFull(error))
    return answer(
      507,
      'database-full',
      'The disk of the database is full, so nothing was changed; make room on it and try again',
    )
  if (isDatabaseBusy(error))
    return answer(
      503,
      'database-busy',
      'The database is busy with other requests and had no connection for this one; try again in a moment',
    )
  if (isDatabaseAway(error))
    return answer(
      503,
      'database-away',
      'The database does not answer, so this may not have been done; try again in a moment',
    )
  return answer(500, 'internal', 'Something failed in the server; its log says what')
}

/** In the middle of a body, as a machine does that lost its link, of dozens at once: no failure of ours. */
function hasGoneAway({ code }: FastifyError, { raw }: FastifyRequest): boolean {
  return code === 'ECONNRESET' && raw.destroyed && !raw.complete
}

/** Fastify's names of the parts of a request, in words. */
const PARTS: Record<string, string> = {
  params: 'path',
  querystring: 'query',
  headers: 'header',
}

function validationAnswer(error: FastifyError): Answer {
  const problems = explainProblems(error.validation ?? [])
  const part = error.validationContext ?? 'request'
  const where = PARTS[part] ?? part
  return answer(400, 'bad-request', `The ${where} is not valid: ${problems.join(', ')}`, problems)
}

function answer(status: number, code: string, message: string, details?: unknown): Answer {
  return { status, body: { error: { code, message, ...(details !== undefined && { details }) } } }
}

/** `FST_ERR_CTP_BODY_TOO_LARGE` becomes `body-too-large`. */
function codeOf(error: FastifyError): string {
  const code = error.code ?? 'bad-request'
  return code
    .replace(/^FST_ERR_(CTP_)?/, '')
    .toLowerCase()
    .replaceAll('_', '-')
}
