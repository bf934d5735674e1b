import { addExamples, type Examples } from './add-examples.ts'
import { operationsOf, type Document } from './document.ts'
import { addFailures } from './failures.ts'
import { nameSchemas } from './named-schemas.ts'
import { operationId } from './operation-id.ts'

/** What a route leaves to be said in one place: names, failures, examples, who may call it. */
export function finishDocument(
  collected: Document,
  { schemas, examples }: { schemas: Record<string, object>; examples: Examples },
): Document {
  // A route with two methods has one object for both.
  const document = JSON.parse(JSON.stringify(collected)) as Document
  for (const { method, path, operation } of operationsOf(document)) {
    operation.operationId ??= operationId(method, path, operation)
    if (operation['x-tagged']) addTag(operation)
  }
  nameSchemas(document, schemas)
  addExamples(document, examples)
  addFailures(document)
  for (const { operation } of operationsOf(document)) {
    delete operation['x-takes-key']
    delete operation['x-tagged']
  }
  return document
}

/** The header ETag of an answer that tells of one resource. */
function addTag({
  responses,
  parameters = [],
}: ReturnType<typeof operationsOf>[number]['operation']) {
  const schema = { type: 'string' }
  const etag = { description: 'Of what an operator edits; for If-Match', schema }
  const answer = responses['200']
  if (answer?.content) answer.headers = { ...answer.headers, ETag: etag }
  if (parameters.some(({ name }) => name === 'if-none-match'))
    responses['304'] = { description: 'It is still as If-None-Match says', headers: { ETag: etag } }
}
