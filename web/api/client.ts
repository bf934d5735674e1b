import createClient, { type Middleware } from 'openapi-fetch'
import type { Session } from '#protocol/account.ts'
import { keys } from './keys.ts'
import { queryClient } from './query-client.ts'
import { readRequestError, RequestError } from './request-error.ts'
import type { paths } from './schema.d.ts'
import { noteServerTime } from './server-clock.ts'

/** No answer in this time: the link is down, or the server is. */
const TIMEOUT_MILLISECONDS = 30_000
/** The server unpacks a partition of some hundred gigabytes before it says what is in it. */
const PATIENT_TIMEOUT_MILLISECONDS = 30 * 60_000

const middleware: Middleware = {
  onRequest({ request }) {
    const session = queryClient.getQueryData<Session | null>(keys.session)
    // What makes a forged form of another site harmless: it cannot know this.
    if (session?.csrfToken !== undefined && !['GET', 'HEAD'].includes(request.method))
      request.headers.set('x-csrf-token', session.csrfToken)
  },
  async onResponse({ response, schemaPath }) {
    noteServerTime(response.headers.get('date'))
    if (response.ok) return
    const error = await readRequestError(response)
    if (error.status === 401 && schemaPath !== '/api/session') forgetSession()
    // Somebody signed in anew in another tab: the cookie is theirs, and this page's token is not.
    if (error.status === 403 && error.code === 'csrf') await readSessionAnew()
    throw error
  },
  onError({ error }) {
    if (error instanceof RequestError) return error
    if (error instanceof DOMException && error.name === 'AbortError') return error
    return new RequestError(0, 'unreachable', 'The server does not answer; check the connection')
  },
}

/** The session ended elsewhere: the guard of the routes shows the sign-in, and then comes back. */
function forgetSession(): void {
  queryClient.setQueryData(keys.session, null)
}

async function readSessionAnew(): Promise<void> {
  await queryClient.invalidateQueries({ queryKey: keys.session })
}

function fetchWithin(milliseconds: number): (request: Request) => Promise<Response> {
  return (request) => {
    const signal = AbortSignal.any([request.signal, AbortSignal.timeout(milliseconds)])
    return fetch(request, { signal })
  }
}

/** For a call whose work the server has to do before it answers. */
export const patientFetch = fetchWithin(PATIENT_TIMEOUT_MILLISECONDS)

/** Every call of the API, typed by the server's own OpenAPI text. Throws RequestError. */
export const client = createClient<paths>({
  baseUrl: location.origin,
  fetch: fetchWithin(TIMEOUT_MILLISECONDS),
})
client.use(middleware)

/** The body of a successful answer; all others were thrown. */
export async function bodyOf<Body>(answer: Promise<{ data?: Body }>): Promise<Body> {
  const { data } = await answer
  return data as Body
}
