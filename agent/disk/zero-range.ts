import type { FileHandle } from 'node:fs/promises'
import type { ByteRange } from './byte-range.ts'
import { DiskError } from './disk-error.ts'
import * as system from './system-calls.ts'

/** Zeros are written in pieces of this size where the kernel can't do better. */
const ZERO_PIECE_BYTES = 1024 * 1024
const PAGE_BYTES = 4096
/** A way is judged when so much was made zero by it. */
const JUDGED_BYTES = 64 * 1024 * 1024
/** Faster than any disk writes; below this the next way gets a chance to do better. */
const QUICK_BYTES_PER_MILLISECOND = 4 * 1024 * 1024

type ZeroWay = (range: ByteRange) => Promise<boolean>

export interface Zeroer {
  zero(range: ByteRange): Promise<void>
  /** Zeros cost next to nothing here, as far as is known by now. */
  isQuick(): boolean
}

export interface ZeroTarget {
  path: string
  file: FileHandle
  kind: 'block' | 'file'
}

/**
 * Makes ranges zero so that they read as zeros, by the way that turns out fastest here:
 *
 * 1. a hole (FALLOC_FL_PUNCH_HOLE), which on a block device is an unmap that guarantees zeros and
 *    fails where the device can't promise that, unlike a discard;
 * 2. BLKZEROOUT, the device's own command or the kernel writing zeros;
 * 3. zeros written by us, past the page cache.
 *
 * Some disks do the first two slower than they write, so each is timed and the fastest stays.
 */
export function createZeroer(target: ZeroTarget): Zeroer {
  return fastestOf(zeroWays(target), () => performance.now())
}

function zeroWays({ path, file, kind }: ZeroTarget): ZeroWay[] {
  const { fd } = file
  const length = ({ start, end }: ByteRange) => end - start
  const punch: ZeroWay = (range) => system.punchHole(fd, range.start, length(range))
  const zeroOut: ZeroWay = (range) => system.zeroOut(fd, range.start, length(range))
  const write: ZeroWay = async (range) => {
    await writeZeros(path, file, range)
    return true
  }
  return kind === 'block' ? [punch, zeroOut, write] : [punch, write]
}

interface Attempt {
  way: ZeroWay
  bytes: number
  milliseconds: number
}

/** Exported for its test: the last way always works. */
export function fastestOf(ways: readonly ZeroWay[], now: () => number): Zeroer {
  let attempts: Attempt[] = ways.map((way) => ({ way, bytes: 0, milliseconds: 0 }))
  return {
    async zero(range) {
      for (;;) {
        const attempt = choose(attempts)
        const startedAt = now()
        if (await attempt.way(range)) {
          attempt.bytes += range.end - range.start
          attempt.milliseconds += now() - startedAt
          return
        }
        attempts = attempts.filter((other) => other !== attempt)
        if (attempts.length === 0) throw new Error('No way to make zeros is left')
      }
    },
    isQuick() {
      const { way, bytes, milliseconds } = choose(attempts)
      return bytes > 0 && rate({ way, bytes, milliseconds }) >= QUICK_BYTES_PER_MILLISECOND
    },
  }
}

/** The first that is quick or not known well yet; where none is, the best of them. */
function choose(attempts: readonly Attempt[]): Attempt {
  const early = attempts.find(
    (attempt) => attempt.bytes < JUDGED_BYTES || rate(attempt) >= QUICK_BYTES_PER_MILLISECOND,
  )
  return early ?? attempts.reduce((best, next) => (rate(next) > rate(best) ? next : best))
}

function rate({ bytes, milliseconds }: Attempt): number {
  return bytes / Math.max(milliseconds, 1e-3)
}

let zeros: Buffer | undefined

async function writeZeros(path: string, file: FileHandle, { start, end }: ByteRange) {
  zeros ??= system.alignedMemory(PAGE_BYTES, ZERO_PIECE_BYTES).fill(0)
  for (let at = start; at < end; at += ZERO_PIECE_BYTES)
    await writeWhole(path, file, zeros.subarray(0, Math.min(ZERO_PIECE_BYTES, end - at)), at)
}

export async function writeWhole(path: string, file: FileHandle, buffer: Buffer, start: number) {
  for (let done = 0; done < buffer.length;) {
    const { bytesWritten } = await file
      .write(buffer, done, buffer.length - done, start + done)
      .catch((err: unknown) => {
        throw new DiskError(path, `write at byte ${start + done}`, err)
      })
    if (bytesWritten === 0)
      throw new Error(`Disk "${path}" takes no more bytes at byte ${start + done}`)
    done += bytesWritten
  }
}
