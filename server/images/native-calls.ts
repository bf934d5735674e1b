import type koffi from 'koffi'
import * as threads from 'node:worker_threads'
import { openLoadGate } from '#protocol/load-gate.ts'

type Koffi = typeof koffi

// Imported by whoever starts threads, too: it makes the gate that they find.
const gate = openLoadGate(threads, (end) => process.on('exit', end))

/** What `define` makes of koffi; a process that ends meanwhile waits for that. */
export function nativeCalls<Calls>(define: (koffi: Koffi) => Calls): Promise<Calls> {
  return gate.pass(async () => define((await import('koffi')).default))
}
