/** A rate over this time: steady enough to read, quick enough to notice a stall. */
const WINDOW_MILLISECONDS = 5000
const POINT_MILLISECONDS = 100

export interface Rate {
  /** Bytes per second lately, given the bytes done by now. */
  at(nowMilliseconds: number, bytesDone: number): number
}

export function createRate(startMilliseconds: number): Rate {
  let points = [{ at: startMilliseconds, bytesDone: 0 }]
  return {
    at(now, bytesDone) {
      if (now - points.at(-1)!.at >= POINT_MILLISECONDS) points.push({ at: now, bytesDone })
      // One older point stays, so that the window is full.
      const first = points.findLastIndex(({ at }) => at <= now - WINDOW_MILLISECONDS)
      points = points.slice(Math.max(0, first))
      const [oldest] = points
      const seconds = (now - oldest!.at) / 1000
      return seconds > 0 ? Math.max(0, (bytesDone - oldest!.bytesDone) / seconds) : 0
    },
  }
}
