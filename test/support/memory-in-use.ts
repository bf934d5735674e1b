import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** So often in a row memory must not have become less: then all is given back that will be. */
const STEADY_ROUNDS = 3
const MAX_ROUNDS = 50
const ROUND_MILLISECONDS = 10
/** For whatever is still on its way, such as sockets that close, on a machine with much else to do. */
const DEADLINE_MILLISECONDS = 30_000

setFlagsFromString('--expose-gc')
// Code that was not called for 30 s would be given back meanwhile: megabytes, behind which a leak could hide.
setFlagsFromString('--no-flush-bytecode')
const collectGarbage = runInNewContext('gc') as () => void

/**
 * What this process holds in its heap and its buffers. One collection does not tell: V8 frees buffers
 * beside it in another thread, and takes them off `external` in the next collection at the earliest.
 */
export async function memoryInUse(): Promise<number> {
  let least = Infinity
  for (let round = 0, steady = 0; round < MAX_ROUNDS && steady < STEADY_ROUNDS; round++) {
    collectGarbage()
    await sleep(ROUND_MILLISECONDS)
    const { heapUsed, external } = process.memoryUsage()
    steady = heapUsed + external < least ? 0 : steady + 1
    least = Math.min(least, heapUsed + external)
  }
  return least
}

/** That memory is within `limitBytes` more than `beforeBytes` once all is given back. */
export async function assertGivenBack(
  beforeBytes: number,
  limitBytes: number,
  measure: () => Promise<number> = memoryInUse,
): Promise<void> {
  const deadline = Date.now() + DEADLINE_MILLISECONDS
  for (;;) {
    const grownBytes = (await measure()) - beforeBytes
    if (grownBytes < limitBytes) return
    assert.ok(Date.now() < deadline, `Memory grew by ${grownBytes} bytes, and stays so`)
  }
}
