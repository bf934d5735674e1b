/** A run that may not be made or moved so, as a status, a stable code and a sentence. */
export class RunRefusedError extends Error {
  override name = 'RunRefusedError'
  readonly status: 401 | 404 | 409 | 422
  readonly code: string

  constructor(status: RunRefusedError['status'], code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}
