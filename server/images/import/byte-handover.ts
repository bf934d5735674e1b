interface Offer {
  bytes: Uint8Array
  taken: PromiseWithResolvers<void>
}

/**
 * Hands bytes from whoever has some at the moment to one reader, as they are asked for. Nothing is
 * kept in between, so what was counted as taken is what the reader has.
 */
export class ByteHandover implements AsyncIterable<Uint8Array> {
  #takenBytes = 0
  #offer: Offer | undefined
  #wanted: PromiseWithResolvers<IteratorResult<Uint8Array>> | undefined
  #idle: PromiseWithResolvers<void> | undefined
  #state: { kind: 'open' | 'ended' | 'closed' } | { kind: 'failed'; cause: unknown } = {
    kind: 'open',
  }

  get takenBytes(): number {
    return this.#takenBytes
  }

  /** The reader went away: nothing is taken any more. */
  get isClosed(): boolean {
    return this.#state.kind === 'closed' || this.#state.kind === 'failed'
  }

  /** Resolves when the reader has the bytes, or went away. One at a time. */
  async give(bytes: Uint8Array): Promise<void> {
    if (bytes.length === 0 || this.isClosed) return
    if (this.#wanted) return this.#handOver({ value: bytes, done: false })
    const taken = Promise.withResolvers<void>()
    this.#offer = { bytes, taken }
    return taken.promise
  }

  /** Takes back what was offered and not taken; its `give` throws the cause. */
  withdraw(cause: unknown): void {
    const offer = this.#offer
    this.#offer = undefined
    offer?.taken.reject(cause)
  }

  /** Resolves when the reader made use of all it got and asks for more, or went away. */
  async idle(): Promise<void> {
    if (this.#wanted || this.isClosed) return
    this.#idle ??= Promise.withResolvers()
    return this.#idle.promise
  }

  /** Nothing more will come. */
  end(): void {
    if (this.#state.kind !== 'open') return
    this.#state = { kind: 'ended' }
    this.#settle({ value: undefined, done: true })
  }

  /** The reader gets this error when it next asks. */
  fail(cause: unknown): void {
    if (this.isClosed) return
    this.#state = { kind: 'failed', cause }
    this.#wanted?.reject(cause)
    this.#wanted = undefined
    this.#release()
  }

  /** What whoever reads does when done with it; anything offered is dropped. */
  close(): void {
    if (!this.isClosed) this.#state = { kind: 'closed' }
    this.#settle({ value: undefined, done: true })
    this.#release()
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.close()
        return { value: undefined, done: true }
      },
    }
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#state.kind === 'failed') throw this.#state.cause
    if (this.#state.kind !== 'open') return { value: undefined, done: true }
    const wanted = Promise.withResolvers<IteratorResult<Uint8Array>>()
    this.#wanted = wanted
    const offer = this.#offer
    this.#offer = undefined
    if (offer) {
      this.#handOver({ value: offer.bytes, done: false })
      offer.taken.resolve()
    } else {
      this.#idle?.resolve()
      this.#idle = undefined
    }
    return wanted.promise
  }

  #handOver(result: IteratorYieldResult<Uint8Array>): void {
    this.#takenBytes += result.value.length
    this.#settle(result)
  }

  #settle(result: IteratorResult<Uint8Array>): void {
    this.#wanted?.resolve(result)
    this.#wanted = undefined
  }

  #release(): void {
    this.#offer?.taken.resolve()
    this.#offer = undefined
    this.#idle?.resolve()
    this.#idle = undefined
  }
}
