/** A service that cannot start; its message is one sentence for the operator. */
export class ServiceError extends Error {
  override name = 'ServiceError'
}
