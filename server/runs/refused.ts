/** A run that may not be made or moved so, as a status, a stable code and a sentence. */
export class RunRefusedError extends Error {
  override name = 'RunRefusedError'
  readonly status: 401 | 403 | 404 | 409 | 422
  readonly code: string
  readonly details: unknown

  constructor(status: RunRefusedError['status'], code: string, message: string, details?: unknown) {
    super(message)
    this.status = status
    this.code = code
    this.details = details
  }
}
