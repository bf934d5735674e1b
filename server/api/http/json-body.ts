import type { FastifyInstance } from 'fastify'
import { BadRequestError } from './errors.ts'

/** Escapes of what Postgres can store neither in text nor in jsonb: NUL and lone surrogates. */
const SUSPICIOUS_ESCAPE = /\\u(0000|d[89a-f])/i
const MAX_DEPTH = 64

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

/** The same value with U+FFFD in place of what no database could store. Throws BadRequestError. */
export function storable(value: unknown, depth = 0): unknown {
  if (depth > MAX_DEPTH) throw new BadRequestError(`The body nests deeper than ${MAX_DEPTH} levels`)
  if (typeof value === 'string') return storableText(value)
  if (Array.isArray(value)) return value.map((item) => storable(item, depth + 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [storableText(key), storable(item, depth + 1)]),
  )
}

export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD')
}
