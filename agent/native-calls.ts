import type koffi from 'koffi'
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads'
import { createLoadGate, GATE_BYTES } from '#protocol/load-gate.ts'

type Koffi = typeof koffi

/** Imported by whoever starts threads, too: it makes the gate that they find. */
const NAME = 'stampede.load-gate'
/** A thread that takes longer to load a library is stuck. */
const MAX_LOAD_MILLISECONDS = 5000

const gate = findGate()

/**
 * What `define` makes of koffi. A process that ends while a thread of it does this aborts, exit code
 * 134, whatever was done before; so it waits for that.
 */
export async function nativeCalls<Calls>(define: (koffi: Koffi) => Calls): Promise<Calls> {
  gate?.enter()
  try {
    return define((await import('koffi')).default)
  } finally {
    gate?.leave()
  }
}

function findGate() {
  if (!isMainThread) {
    const memory = getEnvironmentData(NAME)
    return memory instanceof SharedArrayBuffer ? createLoadGate(memory) : undefined
  }
  const memory = new SharedArrayBuffer(GATE_BYTES)
  setEnvironmentData(NAME, memory)
  const made = createLoadGate(memory)
  process.on('exit', () => made.close(MAX_LOAD_MILLISECONDS))
  return made
}
