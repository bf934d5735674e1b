/**
 * Does `work` for each item, `concurrency` of them at once, items taken in order. The first
 * failure stops the others through the signal that they are given; all have ended when this
 * throws, so nothing goes on behind the caller's back.
 */
export async function forEachConcurrently<Item>(
  items: AsyncIterable<Item>,
  options: { concurrency: number; signal: AbortSignal },
  work: (item: Item, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const iterator = items[Symbol.asyncIterator]()

  async function worker(): Promise<void> {
    try {
      for (;;) {
        signal.throwIfAborted()
        const next = await iterator.next()
        if (next.done) return
        await work(next.value, signal)
      }
    } catch (err) {
      failure.abort(err)
    }
  }

  await Promise.all(Array.from({ length: options.concurrency }, worker))
  await iterator.return?.()
  options.signal.throwIfAborted()
  failure.signal.throwIfAborted()
}
