import type { Run, RunRequest } from '#protocol/run/run.ts'

/** Longest time that the server may take to answer one call. */
const CALL_TIMEOUT_MS = 30_000
const POLL_MS = 500

export type ApiClient = {
  url: string
  token: string
  get: <Result>(path: string) => Promise<Result>
  put: <Result>(path: string, body: unknown) => Promise<Result>
  post: <Result>(path: string, body: unknown) => Promise<Result>
  startRun: (request: RunRequest) => Promise<Run>
  /** Waits until a run has ended, however it ended. */
  waitForRun: (
    id: string,
    options: { deadlineMs: number; onProgress?: (run: Run) => void; signal?: AbortSignal },
  ) => Promise<Run>
}

/** Calls the server as an operator would. Throws with the server's own sentence if it refuses. */
export function createApiClient(url: string, token: string): ApiClient {
  async function call<Result>(method: string, path: string, body?: unknown): Promise<Result> {
    const response = await fetch(new URL(path, url), {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`)
    return (text === '' ? undefined : JSON.parse(text)) as Result
  }

  const client: ApiClient = {
    url,
    token,
    get: (path) => call('GET', path),
    put: (path, body) => call('PUT', path, body),
    post: (path, body) => call('POST', path, body),
    startRun: (request) => client.post<Run>('/api/runs', request),
    async waitForRun(id, { deadlineMs, onProgress, signal }) {
      const deadline = Date.now() + deadlineMs
      for (;;) {
        signal?.throwIfAborted()
        const run = await client.get<Run>(`/api/runs/${id}`).catch(unlessUnreachable)
        if (run) onProgress?.(run)
        if (run?.finishedAt) return run
        if (Date.now() > deadline)
          throw new Error(
            `Run ${id} has not ended in ${deadlineMs / 1000} s; ` +
              (run ? `it is ${run.state}: ${JSON.stringify(run.steps)}` : 'the server is away'),
          )
        await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      }
    },
  }
  return client
}

/** A server that is being restarted answers again later: that is no end of a run. */
function unlessUnreachable(error: unknown): undefined {
  if (error instanceof TypeError || (error as Error).name === 'TimeoutError') return undefined
  throw error
}
