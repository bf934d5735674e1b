import { STATUS_CODES } from 'node:http'
import { MANIFEST_MEDIA_TYPE } from '#protocol/image/image.ts'
import { addExamples, type Examples } from './add-examples.ts'
import { operationsOf, type Document, type Operation, type PlacedOperation } from './document.ts'
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
  for (const placed of operationsOf(document)) describeAnswers(placed)
  nameSchemas(document, schemas)
  addExamples(document, examples)
  addFailures(document)
  for (const { operation } of operationsOf(document)) {
    delete operation['x-takes-key']
    delete operation['x-tagged']
  }
  return document
}

/** Answers that no schema can tell of. */
const MEDIA_TYPES: Record<string, string> = {
  '/metrics': 'text/plain',
  '/boot/{script}': 'text/plain',
  '/boot/kernel': 'application/octet-stream',
  '/boot/initrd': 'application/octet-stream',
  '/boot/files/{name}': 'application/octet-stream',
  '/chunks/{sha256}': 'application/gzip',
  '/images/by-digest/{digest}': MANIFEST_MEDIA_TYPE,
  '/images/{file}': 'application/gzip',
  '/l/{token}/{file}': 'application/gzip',
}
const BYTES = { type: 'string', format: 'binary' }
const DESCRIPTIONS: Record<string, string> = {
  200: 'Done',
  201: 'It was made',
  204: 'Done, and there is nothing to tell',
}

function describeAnswers({ method, path, operation }: PlacedOperation): void {
  const type = MEDIA_TYPES[path]
  const answer = operation.responses['200']
  if (method === 'get' && type !== undefined && answer)
    answer.content = { [type]: { schema: isText(type) ? { type: 'string' } : BYTES } }
  for (const [status, { description }] of Object.entries(operation.responses))
    if (description === 'Default Response')
      operation.responses[status]!.description = DESCRIPTIONS[status] ?? STATUS_CODES[status] ?? ''
}

function isText(mediaType: string): boolean {
  return mediaType.startsWith('text/') || mediaType.endsWith('json')
}

/** The header ETag of an answer that tells of one resource. */
function addTag({ responses, parameters = [] }: Operation): void {
  const schema = { type: 'string' }
  const etag = { description: 'Of what an operator edits; for If-Match', schema }
  const answer = responses['200']
  if (answer?.content) answer.headers = { ...answer.headers, ETag: etag }
  if (parameters.some(({ name }) => name === 'if-none-match'))
    responses['304'] = { description: 'It is still as If-None-Match says', headers: { ETag: etag } }
}
