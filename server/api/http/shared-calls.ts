/**
 * Calls with the same key, while one is on its way, get its answer: of machines that boot together and
 * ask for the same image, each would ask the database the same. Nothing is kept beyond that.
 */
export function createSharedCalls<Result>() {
  const calls = new Map<string, Promise<Result>>()
  return (key: string, call: () => Promise<Result>): Promise<Result> => {
    const running = calls.get(key)
    if (running) return running
    const started = call().finally(() => calls.delete(key))
    calls.set(key, started)
    return started
  }
}
