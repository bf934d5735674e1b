import { readFileSync } from 'node:fs'

// Loaded before a program, and into each of its threads: its clock is ahead of the real one by the
// seconds in a file, which may change at any time. What nobody sets, `performance.now()`, stays.
const file = process.env['SETTABLE_CLOCK_FILE']!
const RealDate = Date

function now(): number {
  return RealDate.now() + Number(readFileSync(file, 'utf8')) * 1000
}

globalThis.Date = new Proxy(RealDate, {
  construct: (date, given, newTarget) =>
    Reflect.construct(date, given.length === 0 ? [now()] : given, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (date, key, receiver) => (key === 'now' ? now : Reflect.get(date, key, receiver)),
})
