import { useSyncExternalStore } from 'react'

/** One clock for all relative times of the page. */
const TICK_MILLISECONDS = 1000

let now = new Date()
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
  now = new Date()
  for (const listener of listeners) listener()
}

function readNow(): Date {
  // Nobody ticked while nobody looked.
  if (timer === undefined && Date.now() - now.getTime() >= TICK_MILLISECONDS) now = new Date()
  return now
}

/** The time, new every second; renders anew only where `read` of it changed. */
export function useNow<Value extends string | number>(read: (now: Date) => Value): Value {
  return useSyncExternalStore(subscribe, () => read(readNow()))
}
