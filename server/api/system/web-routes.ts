import { existsSync } from 'node:fs'
import { join } from 'node:path'
import fastifyStatic from '@fastify/static'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { NotFoundError } from '../http/errors.ts'
import { webAnswer } from './web-answer.ts'

export interface WebRoutesOptions {
  /** What `npm run web:build` made. */
  folder: string
}

const YEAR_MILLISECONDS = 365 * 24 * 3600 * 1000

/**
 * Scripts are files of ours only. Mantine sizes and places things with style attributes. There is no
 * upgrade-insecure-requests and no HSTS: the interface is used over plain HTTP on a LAN too.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

const SECURITY_HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
}

/** The web interface, on every path that no other route has. */
export function webRoutes({ folder }: WebRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    await app.register(fastifyStatic, {
      root: folder,
      serve: false,
      preCompressed: true,
      cacheControl: false, // set below
    })
    app.route({
      method: ['GET', 'HEAD'],
      url: '/*',
      config: { access: 'public' },
      schema: { hide: true },
      handler: async (request, reply) => answerWeb(folder, request, reply),
    })
  }
}

function answerWeb(folder: string, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const path = request.url.split('?', 1)[0]!
  const { accept, 'user-agent': userAgent } = request.headers
  const answer = webAnswer({ path, accept, userAgent })
  if (answer.kind === 'none') throw new NotFoundError(`There is no ${request.method} ${path}`)
  const name = answer.kind === 'page' ? 'index.html' : answer.name
  // After an update, a page that is still open asks for files that are gone.
  if (!existsSync(join(folder, name)))
    throw new NotFoundError(
      answer.kind === 'page'
        ? 'The web interface is not built; build it with "npm run web:build"'
        : `There is no ${request.method} ${path}`,
    )
  const isImmutable = answer.kind === 'file' && answer.immutable
  return reply
    .headers(SECURITY_HEADERS)
    .header('vary', 'accept-encoding')
    .sendFile(
      name,
      isImmutable
        ? { cacheControl: true, maxAge: YEAR_MILLISECONDS, immutable: true }
        : { cacheControl: true, maxAge: 0 },
    )
}
