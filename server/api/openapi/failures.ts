import type { Answer, Document, Operation } from './document.ts'
import { operationsOf } from './document.ts'

/** How calls fail: a status, its name as a component, and one example of what is said then. */
const FAILURES: Record<string, [name: string, description: string, code: string, message: string]> =
  {
    400: [
      'BadRequest',
      'The path, query, headers or body do not have the shape that is asked for',
      'bad-request',
      'The path is not valid: mac must be a MAC address such as 52:54:00:12:34:56',
    ],
    401: [
      'Unauthorized',
      'There is no token or session, or it is not valid any more',
      'unauthorized',
      'Sign in, or send a token in the header "Authorization: Bearer …"',
    ],
    403: [
      'Forbidden',
      'The role or the scopes of the token do not allow it',
      'forbidden',
      'This needs the role operator, and yours is viewer',
    ],
    404: ['NotFound', 'There is nothing here', 'not-found', 'There is no image "debian-12"'],
    409: [
      'Conflict',
      'It cannot be done in the present state',
      'run-active',
      'Machine 52:54:00:12:34:56 is running with run 01975b6e-5d7c-7c3a-9f52-0d4be3f0a111; cancel it first',
    ],
    410: [
      'Gone',
      'It was here, and will not come back',
      'upload-expired',
      'The upload was idle for 15 minutes; begin anew',
    ],
    412: [
      'PreconditionFailed',
      'If-Match names another version than the current one',
      'precondition-failed',
      'Somebody changed this since you read it: If-Match is "a", but it is now "b"; read it again',
    ],
    413: [
      'TooLarge',
      'The body is larger than this call takes',
      'body-too-large',
      'The body is larger than this call takes; send less at once',
    ],
    415: [
      'UnsupportedMediaType',
      'The body is of a type that this call does not take',
      'invalid-media-type',
      'Send JSON, with the header "Content-Type: application/json"',
    ],
    422: [
      'Unprocessable',
      'Well-formed, but it makes no sense',
      'no-image',
      'Machine 52:54:00:12:34:56 has no image assigned; name one or assign one',
    ],
    429: [
      'TooManyRequests',
      'Too many attempts; the header Retry-After says when to come again',
      'too-many-attempts',
      'Too many attempts to sign in; try again in 30 seconds',
    ],
    503: [
      'Unavailable',
      'It cannot be done right now, and may work later',
      'unavailable',
      'The server is stopping',
    ],
    507: [
      'InsufficientStorage',
      'The store has no room left',
      'store-full',
      'The store has no room left; delete images or add space',
    ],
    default: [
      'Failure',
      'Any other failure, in the same shape',
      'internal',
      'Something failed in the server; its log says what',
    ],
  }
const ERROR_SCHEMA = { $ref: '#/components/schemas/Error' }

/** Gives each operation the failures that it shares with others of its kind. Call it after `nameSchemas`. */
export function addFailures(document: Document): void {
  document.components.responses = Object.fromEntries(
    Object.values(FAILURES).map(([name, description, code, message]) => [
      name,
      {
        description,
        content: {
          'application/json': { schema: ERROR_SCHEMA, example: { error: { code, message } } },
        },
      },
    ]),
  )
  for (const { path, operation } of operationsOf(document)) {
    for (const status of statusesOf(path, operation)) operation.responses[status] ??= {}
    for (const [status, answer] of Object.entries(operation.responses))
      if (FAILURES[status] && isCommon(answer))
        operation.responses[status] = { $ref: `#/components/responses/${FAILURES[status][0]}` }
  }
}

/** Nothing but the one error shape, and no example of its own. */
function isCommon({ content }: Answer): boolean {
  if (!content) return true
  const [media, ...more] = Object.values(content)
  return (
    media !== undefined &&
    more.length === 0 &&
    media.example === undefined &&
    media.schema?.['$ref'] === ERROR_SCHEMA.$ref
  )
}

function statusesOf(path: string, operation: Operation): string[] {
  const { requestBody, parameters, 'x-access': access } = operation
  const isPublic = access === 'public'
  const takesJson = requestBody?.content['application/json'] !== undefined
  return [
    requestBody || parameters ? ['400'] : [],
    isPublic ? [] : ['401', '403'],
    path.includes('{') ? ['404'] : [],
    operation['x-takes-key'] ? ['409', '422'] : [],
    operation['x-tagged'] && parameters?.some(({ name }) => name === 'if-match') ? ['412'] : [],
    takesJson ? ['413', '415'] : [],
    ['default'],
  ].flat()
}
