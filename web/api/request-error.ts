/** An answer other than success: the server's own words (`{ error: { code, message, details } }`). */
export class RequestError extends Error {
  override name = 'RequestError'
  /** 0: no answer came. */
  readonly status: number
  readonly code: string
  readonly details: unknown

  constructor(status: number, code: string, message: string, details?: unknown) {
    super(message)
    this.status = status
    this.code = code
    this.details = details
  }
}

/** What a proxy in between says is no JSON of ours. */
export async function readRequestError(response: Response): Promise<RequestError> {
  const body: unknown = await response.json().catch(() => undefined)
  const error = isErrorBody(body) ? body.error : undefined
  return new RequestError(
    response.status,
    error?.code ?? 'unknown',
    error?.message ?? `The server answered ${response.status} ${response.statusText}`.trim(),
    error?.details,
  )
}

function isErrorBody(
  body: unknown,
): body is { error: { code: string; message: string; details?: unknown } } {
  if (typeof body !== 'object' || body === null || !('error' in body)) return false
  const { error } = body
  return typeof error === 'object' && error !== null && 'code' in error && 'message' in error
}

/** A finished sentence for people, whatever was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
