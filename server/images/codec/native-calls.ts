import type koffi from 'koffi'
import { createRequire } from 'node:module'
import * as threads from 'node:worker_threads'
import { openLoadGate } from '#protocol/load-gate.ts'

type Koffi = typeof koffi

// Imported by whoever starts threads, too: it makes the gate that they find.
const gate = openLoadGate(threads, (end) => process.on('exit', end))
const require = createRequire(import.meta.url)

/**
 * What `define` makes of koffi; a process that ends meanwhile waits for that. Without a promise, since a
 * module of a thread must not await: V8 aborts the process (SIGTRAP) if that thread is ended while it
 * runs the modules that waited.
 */
export function nativeCalls<Calls>(define: (koffi: Koffi) => Calls): Calls {
  return gate.pass(() => define(require('koffi') as Koffi))
}
