import { isIPv6 } from 'node:net'
import { TooManyAttemptsError } from '../http/errors.ts'

/** How often something may happen under a key within a time that begins with the first. */
export interface Limit {
  most: number
  seconds: number
}

/** Keys that are counted at once; beyond that the oldest is forgotten. */
const MAX_KEYS = 10_000

export interface Counter {
  /** Seconds until there is room again, 0 if there is now. */
  secondsToWait(key: string): number
  add(key: string): void
  takeBack(key: string): void
  clear(key: string): void
}

export function createCounter({ most, seconds }: Limit, now: () => Date): Counter {
  const counts = new Map<string, { count: number; endsAt: number }>()

  function find(key: string) {
    const found = counts.get(key)
    if (!found || found.endsAt > now().getTime()) return found
    counts.delete(key)
    return undefined
  }

  return {
    secondsToWait(key) {
      const found = find(key)
      if (!found || found.count < most) return 0
      return Math.ceil((found.endsAt - now().getTime()) / 1000)
    },
    add(key) {
      const found = find(key)
      if (found) found.count += 1
      else {
        const oldest = counts.keys().next().value
        if (counts.size >= MAX_KEYS && oldest !== undefined) counts.delete(oldest)
        counts.set(key, { count: 1, endsAt: now().getTime() + seconds * 1000 })
      }
    },
    takeBack(key) {
      const found = find(key)
      if (found) found.count -= 1
    },
    clear: (key) => void counts.delete(key),
  }
}

/**
 * Few for one name from one address; many more for the name from everywhere, so that nobody locks
 * somebody else out; and some for an address, whoever it tries to be. Only failures count.
 */
const PAIR: Limit = { most: 8, seconds: 5 * 60 }
const NAME: Limit = { most: 100, seconds: 15 * 60 }
const ADDRESS: Limit = { most: 40, seconds: 15 * 60 }

export interface Attempts {
  /** Counts it as failed until told otherwise. Throws RequestError 429. */
  begin(name: string, address: string): { succeeded(): void }
}

export function createAttempts(now: () => Date): Attempts {
  const counters = { pair: createCounter(PAIR, now), name: createCounter(NAME, now) }
  const addresses = createCounter(ADDRESS, now)
  return {
    begin(givenName, givenAddress) {
      const name = givenName.toLowerCase()
      const address = networkOf(givenAddress)
      const counted: [Counter, string][] = [
        [counters.pair, `${address} ${name}`],
        [counters.name, name],
        [addresses, address],
      ]
      const wait = Math.max(...counted.map(([counter, key]) => counter.secondsToWait(key)))
      if (wait > 0) throw new TooManyAttemptsError(wait)
      for (const [counter, key] of counted) counter.add(key)
      return {
        succeeded() {
          for (const [counter, key] of counted) counter.takeBack(key)
          counters.pair.clear(`${address} ${name}`)
        },
      }
    },
  }
}

/** Whoever has one IPv6 address has all of its /64. */
function networkOf(address: string): string {
  if (!isIPv6(address) || address.startsWith('::ffff:')) return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').length
  return [...groups, ...Array<string>(Math.max(0, missing)).fill('0')].slice(0, 4).join(':')
}
