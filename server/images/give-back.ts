import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/** 1 TiB of disk: images up to that never come here. About 70 MB are let go of each time. */
const EVERY_SEGMENTS = 32

let collect: (() => void) | undefined

/**
 * To be called for each segment that was read. V8 goes by the size of its own heap, which stays small, and lets
 * hundreds of MB of buffers outside of it wait: an image of ten million chunks has 320 segments, of 2 MB each
 * while they are read. A collection takes a tenth of a second, a small part of what 32 segments take.
 */
export function createGiveBack(): () => void {
  let segments = 0
  return () => {
    if (++segments % EVERY_SEGMENTS !== 0) return
    if (!collect) {
      setFlagsFromString('--expose-gc')
      collect = runInNewContext('gc') as () => void
    }
    collect()
  }
}
