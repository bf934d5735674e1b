import { closeSync } from 'node:fs'
import { constants } from 'node:os'
import koffi from 'koffi'

// Linux's numbers, the same on x86-64 and arm64.
const SYS_OPENAT2 = 437
const AT_FDCWD = -100
const O_CLOEXEC = 0x80000
const RESOLVE_CACHED = 0x20
const RWF_NOWAIT = 8

const libc = koffi.load(null)
koffi.struct('iovec', { base: 'void *', length: 'size_t' })
const openat2 = libc.func('long syscall(long number, int folder, str path, void *how, size_t size)')
const preadv2 = libc.func(
  'long preadv2(int fd, const iovec *parts, int count, int64_t offset, int flags)',
)
/** `struct open_how`: flags, mode, resolve. */
const HOW = new Uint8Array(BigUint64Array.of(BigInt(O_CLOEXEC), 0n, BigInt(RESOLVE_CACHED)).buffer)

/**
 * How many bytes a file has, all of them now in `buffer`, if the kernel holds it in memory; undefined if
 * reading it could wait for a medium, or if anything is wrong with it: then read it as ever. Each
 * turn of the thread pool takes longer than copying a chunk, most of all when processors are busy,
 * and so do the others that wait for theirs (openat2(2), preadv2(2)).
 */
export function readCached(path: string, buffer: Uint8Array): number | undefined {
  const fd = openat2(SYS_OPENAT2, AT_FDCWD, path, HOW, HOW.length) as number
  if (fd < 0) return undefined
  try {
    for (let length = 0; ;) {
      const rest = buffer.subarray(length)
      const count = readNow(fd, rest, length)
      if (count === undefined) return undefined
      length += count
      if (count === 0 || length === buffer.length) return length
    }
  } finally {
    closeSync(fd)
  }
}

function readNow(fd: number, buffer: Uint8Array, offset: number): number | undefined {
  for (;;) {
    const parts = [{ base: buffer, length: buffer.length }]
    const count = preadv2(fd, parts, 1, offset, RWF_NOWAIT) as number
    if (count >= 0) return count
    if (koffi.errno() !== constants.errno.EINTR) return undefined
  }
}
