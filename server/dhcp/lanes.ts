/**
 * Runs tasks of one key one after the other, tasks of different keys side by side. Undefined, and the
 * task is not run, when there are too many of either.
 */
export function createLanes<Key>(limits: { lanes: number; perLane: number }) {
  const lanes = new Map<Key, { tail: Promise<unknown>; length: number }>()
  return async <T>(key: Key, task: () => Promise<T>): Promise<T | undefined> => {
    const lane = lanes.get(key) ?? { tail: Promise.resolve(), length: 0 }
    if (lane.length >= limits.perLane) return undefined
    if (lane.length === 0 && lanes.size >= limits.lanes) return undefined
    lanes.set(key, lane)
    lane.length += 1
    const result = lane.tail.then(task)
    lane.tail = result.catch(() => undefined)
    try {
      return await result
    } finally {
      lane.length -= 1
      if (lane.length === 0) lanes.delete(key)
    }
  }
}
