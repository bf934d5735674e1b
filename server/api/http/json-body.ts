import type { FastifyInstance } from 'fastify'
import { storable } from './storable.ts'

/** Escapes of what Postgres can store neither in text nor in jsonb: NUL and lone surrogates. */
const SUSPICIOUS_ESCAPE = /\\u(0000|d[89a-f])/i

/**
 * JSON as Fastify reads it, with two differences: no body at all is none, and characters that no
 * database could store become U+FFFD (a serial number read from broken firmware is no reason to
 * refuse a machine).
 */
export function installJsonParser(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser<string>(
    'application/json',
    { parseAs: 'string' },
    (request, text, done) => {
      if (text.trim() === '') return done(null, undefined)
      void parse(request, text, (err, body) => {
        if (err) return done(err)
        try {
          done(null, SUSPICIOUS_ESCAPE.test(text) ? storable(body) : body)
        } catch (tooDeep) {
          done(tooDeep as Error)
        }
      })
    },
  )
}
