import { useSyncExternalStore } from 'react'
import { serverNow } from '../api/server-clock.ts'

/** One clock for all relative times of the page. */
const TICK_MILLISECONDS = 1000

let now = serverNow()
let timer: ReturnType<typeof setInterval> | undefined
const listeners = new Set<() => void>()

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  timer ??= setInterval(tick, TICK_MILLISECONDS)
  return () => {
    listeners.delete(listener)
    if (listeners.size > 0) return
    clearInterval(timer)
    timer = undefined
  }
}

function tick(): void {
  now = serverNow()
  for (const listener of listeners) listener()
}

function readNow(): Date {
  if (timer !== undefined) return now
  // Nobody ticked while nobody looked.
  const present = serverNow()
  if (Math.abs(present.getTime() - now.getTime()) >= TICK_MILLISECONDS) now = present
  return now
}

/** The time, new every second; renders anew only where `read` of it changed. */
export function useNow<Value extends string | number>(read: (now: Date) => Value): Value {
  return useSyncExternalStore(subscribe, () => read(readNow()))
}
