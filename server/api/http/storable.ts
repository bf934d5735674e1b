import { BadRequestError } from './errors.ts'

const MAX_DEPTH = 64

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
