import type { Document, Media } from './document.ts'
import { operationsOf } from './document.ts'

/** What an operation is sent and answers, by status. */
export interface OperationExamples {
  body?: unknown
  answers?: Record<number, unknown>
}

/** By `GET /api/machines/{mac}`. */
export type Examples = Record<string, OperationExamples>

/** Puts each example to its operation. */
export function addExamples(document: Document, examples: Examples): void {
  for (const { method, path, operation } of operationsOf(document)) {
    const own = examples[`${method.toUpperCase()} ${path}`]
    if (!own) continue
    const { body, answers = {} } = own
    if (body !== undefined) setExample(operation.requestBody?.content, body)
    for (const [status, answer] of Object.entries(answers))
      setExample(operation.responses[status]?.content, answer)
  }
}

function setExample(content: Record<string, Media> | undefined, example: unknown): void {
  for (const media of Object.values(content ?? {})) media.example = example
}
