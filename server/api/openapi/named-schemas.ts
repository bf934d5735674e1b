import { canonicalJson } from '../http/etag.ts'
import type { Document, Json } from './document.ts'

/** What says nothing of the values that a schema accepts. */
const ANNOTATIONS = new Set(['examples', 'example', 'description', 'title'])

/**
 * Makes components of these schemas: wherever one stands in the document, a reference takes its
 * place, so that generated clients have one type for it. The larger ones refer to the smaller ones.
 */
export function nameSchemas(document: Document, schemas: Record<string, object>): void {
  const nameOf = new Map(Object.entries(schemas).map(([name, schema]) => [keyOf(schema), name]))
  document.paths = refer(document.paths, nameOf) as Document['paths']
  for (const [name, schema] of Object.entries(schemas)) {
    const plain = asPlain(schema)
    document.components.schemas[name] = Object.fromEntries(
      Object.entries(plain).map(([key, part]) => [key, refer(part, nameOf)]),
    )
  }
}

function refer(value: unknown, nameOf: Map<string, string>): unknown {
  if (Array.isArray(value)) return value.map((item) => refer(item, nameOf))
  if (typeof value !== 'object' || value === null) return value
  if (looksLikeSchema(value)) {
    const name = nameOf.get(keyOf(value))
    if (name !== undefined) return { $ref: `#/components/schemas/${name}` }
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [
      key,
      ANNOTATIONS.has(key) ? part : refer(part, nameOf),
    ]),
  )
}

function looksLikeSchema(value: object): boolean {
  return 'type' in value || 'enum' in value || 'anyOf' in value
}

function keyOf(schema: object): string {
  return canonicalJson(withoutAnnotations(asPlain(schema)))
}

function asPlain(schema: object): Json {
  return JSON.parse(JSON.stringify(schema)) as Json
}

function withoutAnnotations(value: unknown, isProperties = false): unknown {
  if (Array.isArray(value)) return value.map((item) => withoutAnnotations(item))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      // A property may well be called "description".
      .filter(([key]) => isProperties || !ANNOTATIONS.has(key))
      .map(([key, part]) =>
        // swagger writes a literal as an enumeration of one
        key === 'const' && !isProperties
          ? ['enum', [part]]
          : [key, withoutAnnotations(part, key === 'properties' && !isProperties)],
      ),
  )
}
