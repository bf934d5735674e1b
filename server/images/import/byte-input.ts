/** A stream that can be looked at before it is read. */
export class ByteInput implements AsyncDisposable {
  readonly #iterator: AsyncIterator<Uint8Array>
  #waiting: Uint8Array[] = []

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]()
  }

  /** The next bytes, never none; undefined at the end. */
  async next(): Promise<Uint8Array | undefined> {
    const waiting = this.#waiting.shift()
    if (waiting) return waiting
    for (;;) {
      const { value, done } = await this.#iterator.next()
      if (done) return undefined
      if (value.length > 0) return value
    }
  }

  /** Gives back bytes that the next call shall return. */
  unshift(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#waiting.unshift(bytes)
  }

  /** The first `count` bytes, or all if there are fewer; they are still to be read. */
  async peek(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    for (let length = 0; length < count;) {
      const bytes = await this.next()
      if (!bytes) break
      parts.push(bytes)
      length += bytes.length
    }
    const head = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
    this.unshift(head)
    return head.subarray(0, count)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let bytes = await this.next(); bytes; bytes = await this.next()) yield bytes
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#iterator.return?.()
  }
}
