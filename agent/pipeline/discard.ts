import type { ByteRange } from '../disk/byte-range.ts'
import type { Device } from '../disk/device.ts'

/** After this long it is judged whether discarding is cheap here. */
const JUDGED_MILLISECONDS = 2000
/** 1 GiB a second; slower, and it is left out: nobody relies on it. */
const CHEAP_BYTES_PER_MILLISECOND = 1024 * 1024

/** Tells the disk of ranges that do not matter any more, as long as that takes next to no time. */
export function createDiscarder(device: Device): (range: ByteRange) => Promise<void> {
  let bytes = 0
  let milliseconds = 0
  return async (range) => {
    const isDear =
      milliseconds > JUDGED_MILLISECONDS && bytes < milliseconds * CHEAP_BYTES_PER_MILLISECOND
    if (isDear) return
    const startedAt = performance.now()
    await device.discard(range)
    milliseconds += performance.now() - startedAt
    bytes += range.end - range.start
  }
}
