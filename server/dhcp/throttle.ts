/**
 * Tells whether what has this key may pass: each key once in a window, and so many keys in all.
 * Whoever listens may store what passes, and anybody can make up machines.
 */
export function createThrottle(limits: {
  windowSeconds: number
  keys: number
}): (key: string, now: Date) => boolean {
  const passed = new Set<string>()
  let windowEnds = new Date(0)
  return (key, now) => {
    if (now >= windowEnds) {
      passed.clear()
      windowEnds = new Date(now.getTime() + limits.windowSeconds * 1000)
    }
    if (passed.has(key) || passed.size >= limits.keys) return false
    passed.add(key)
    return true
  }
}
