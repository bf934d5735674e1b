export interface HttpRequest {
  method: 'GET' | 'HEAD' | 'POST' | 'PUT'
  path: string
  /** Sent as JSON. */
  json?: unknown
  /** Sent as it is. */
  body?: Uint8Array
  contentType?: string
  /** For an answer that takes the server more work than others. */
  idleSeconds?: number
  /**
   * Asked with HEAD before `body` is sent once more: 200 says that it arrived although the answer to it
   * did not, and then stands for that answer.
   */
  arrivedAt?: string
  signal?: AbortSignal
}

export interface HttpAnswer {
  status: number
  body: Buffer
  /** Where a redirect points to. */
  location?: string
}
