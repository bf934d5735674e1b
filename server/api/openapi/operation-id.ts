import type { Operation } from './document.ts'

/** What a POST to these does is said by the last part of its path. */
const VERBS = new Set(['cancel', 'retry', 'test', 'delete'])
const VERB_OF_METHOD: Record<string, string> = {
  get: 'get',
  head: 'head',
  put: 'put',
  patch: 'update',
  delete: 'delete',
  post: 'send',
}

/** Where the path alone would give a poor name, or one that another has. */
const NAMES: Record<string, string> = {
  'post /api/images/{name}': 'uploadImage',
  'patch /api/uploads/{id}': 'appendUpload',
  'post /api/setup': 'setUp',
  'post /api/session': 'signIn',
  'delete /api/session': 'signOut',
  'put /api/session/password': 'changePassword',
  'get /api/events': 'followEvents',
  'get /images/{file}': 'downloadImage',
  'head /images/{file}': 'headImageFile',
  'get /images/by-digest/{digest}': 'getManifest',
  'get /l/{token}/{file}': 'downloadLinkedImage',
  'head /l/{token}/{file}': 'headLinkedImage',
  'post /l/{token}/{file}': 'uploadLinkedImage',
  'put /l/{token}/{file}': 'putLinkedImage',
  'get /{file}': 'getBootyFile',
  'get /boot/{script}': 'getBootScript',
  'post /chunks/missing': 'listMissingChunks',
  'post /agent/hello': 'sayHello',
  'post /agent/runs/{id}/reports': 'sendReport',
  'post /agent/runs/{id}/log': 'sendLog',
  'post /agent/runs/{id}/result': 'sendResult',
}

/**
 * A name for an operation that its route does not name: `listMachines`, `getMachine`, `createRun`,
 * `cancelRun`. Part of the API, since generated clients call their functions so.
 */
export function operationId(method: string, path: string, operation: Operation): string {
  const name = NAMES[`${method} ${path}`]
  if (name !== undefined) return name
  const segments = path.split('/').filter((segment) => segment !== '' && segment !== 'api')
  const last = segments.at(-1) ?? ''
  const isVerb = method === 'post' && VERBS.has(last)
  const named = isVerb ? segments.slice(0, -1) : segments
  const isList = method === 'get' && isListAnswer(operation)
  const isCreation = method === 'post' && operation.responses['201'] !== undefined
  const verb = isVerb ? last : isList ? 'list' : isCreation ? 'create' : VERB_OF_METHOD[method]
  const words = named.flatMap((segment, index) => {
    if (isParameter(segment)) return []
    const isOne = isParameter(named[index + 1] ?? '') || (isCreation && index === named.length - 1)
    return [pascalCase(isOne ? singular(segment) : segment)]
  })
  return `${verb}${words.join('')}`
}

function isParameter(segment: string): boolean {
  return segment.startsWith('{')
}

function isListAnswer({ responses }: Operation): boolean {
  const schema = responses['200']?.content?.['application/json']?.schema
  const keys = Object.keys((schema?.['properties'] as object | undefined) ?? {})
  return keys.toSorted().join() === 'items,next'
}

function singular(word: string): string {
  if (word.endsWith('ies')) return `${word.slice(0, -3)}y`
  return word.replace(/s$/, '')
}

function pascalCase(word: string): string {
  return word
    .split(/[^a-zA-Z0-9]+/)
    .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
    .join('')
}
