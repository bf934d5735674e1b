/** A fixed number of equal buffers, so that a stream that is faster than its consumer waits. */
export class BufferPool {
  readonly #bufferBytes: number
  #unmade: number
  #free: Uint8Array[] = []
  #waiting: PromiseWithResolvers<Uint8Array>[] = []
  #failure: { cause: unknown } | undefined

  constructor(count: number, bufferBytes: number) {
    this.#unmade = count
    this.#bufferBytes = bufferBytes
  }

  /** Its content is whatever the last user left. */
  async take(): Promise<Uint8Array> {
    this.throwIfFailed()
    const free = this.#free.pop()
    if (free) return free
    if (this.#unmade > 0) {
      this.#unmade--
      return new Uint8Array(this.#bufferBytes)
    }
    const waiting = Promise.withResolvers<Uint8Array>()
    this.#waiting.push(waiting)
    return waiting.promise
  }

  give(memory: ArrayBufferLike): void {
    const buffer = new Uint8Array(memory)
    const next = this.#waiting.shift()
    if (next) next.resolve(buffer)
    else this.#free.push(buffer)
  }

  /** A user failed: whoever waits for a buffer, now or later, gets the first such error. */
  fail(cause: unknown): void {
    this.#failure ??= { cause }
    for (const waiting of this.#waiting.splice(0)) waiting.reject(this.#failure.cause)
  }

  throwIfFailed(): void {
    if (this.#failure) throw this.#failure.cause
  }
}
