/** Found out within a few chunks, on a fast link in no time. */
const FIRST_AT_ONCE = 4
/** As many as the connections that the agent opens. */
const MOST_AT_ONCE = 32
/** A chunk that takes longer shares its link with too many; a third of what is waited for an answer. */
const SLOW_MILLISECONDS = 10_000
/** One that takes less leaves room for another. */
const FAST_MILLISECONDS = 2000

export type SendLimit = <Result>(send: () => Promise<Result>) => Promise<Result>

/**
 * Lets as many chunks out at once as the link carries. Dozens of connections on a few Mbit/s lose so many
 * packets to each other that some stand still until they count as dead, and their chunks are sent again.
 */
export function createSendLimit(now: () => number = () => performance.now()): SendLimit {
  const waiting: (() => void)[] = []
  let atOnce = FIRST_AT_ONCE
  let underWay = 0
  let loweredAt = -Infinity

  function learn(startedAt: number): void {
    const took = now() - startedAt
    if (took < FAST_MILLISECONDS) atOnce = Math.min(atOnce + 1, MOST_AT_ONCE)
    // Those that were under way together say it once.
    if (took <= SLOW_MILLISECONDS || startedAt < loweredAt) return
    atOnce = Math.max(1, Math.floor(atOnce / 2))
    loweredAt = now()
  }

  function letOut(): void {
    while (underWay < atOnce && waiting.length > 0) {
      underWay++
      waiting.shift()!()
    }
  }

  return async (send) => {
    const turn = new Promise<void>((resolve) => waiting.push(resolve))
    letOut()
    await turn
    const startedAt = now()
    try {
      return await send()
    } finally {
      learn(startedAt)
      underWay--
      letOut()
    }
  }
}
