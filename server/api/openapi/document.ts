/** As much of an OpenAPI document as we touch. */
export interface Document {
  paths: Record<string, Partial<Record<string, Operation>>>
  components: {
    schemas: Record<string, Json>
    responses?: Record<string, Answer>
    [kind: string]: unknown
  }
}

export type Json = Record<string, unknown>

export interface Operation {
  operationId?: string
  summary?: string
  description?: string
  parameters?: { in: string; name: string }[]
  requestBody?: { required?: boolean; content: Record<string, Media> }
  responses: Record<string, Answer>
  security?: Json[]
  'x-access'?: string
  'x-takes-key'?: boolean
  'x-tagged'?: boolean
}

export interface Answer {
  $ref?: string
  description?: string
  headers?: Record<string, Json>
  content?: Record<string, Media>
}

export interface Media {
  schema?: Json
  example?: unknown
}

export interface PlacedOperation {
  /** Lower case, as in the document. */
  method: string
  path: string
  operation: Operation
}

/** Every operation of the document, in its order. */
export function operationsOf(document: Document): PlacedOperation[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method, path, operation: operation! })),
  )
}
