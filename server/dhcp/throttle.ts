/**
 * Tells whether what has this key may pass: each key once in a window, and so many keys in all.
 * Whoever listens may store what passes, and anybody can make up machines.
 */
export function createThrottle(limits: {
  windowSeconds: number
  keys: number
}): (key: string, now: Date) => boolean {
  const passed = new Set<string>()
  let windowBegan = new Date(0)
  return (key, now) => {
    const seconds = (now.getTime() - windowBegan.getTime()) / 1000
    // A clock that was set back would else keep a window open for as long as it was ahead.
    if (seconds < 0 || seconds >= limits.windowSeconds) {
      passed.clear()
      windowBegan = now
    }
    if (passed.has(key) || passed.size >= limits.keys) return false
    passed.add(key)
    return true
  }
}
