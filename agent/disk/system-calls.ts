import { promisify } from 'node:util'
import { nativeCalls } from '../native-calls.ts'

/** Kernel calls that Node does not have. */

/** Numbers from linux/fs.h, alike on x86-64 and arm64. */
const BLKROSET = 0x125d
const BLKROGET = 0x125e
const BLKRRPART = 0x125f
const BLKFLSBUF = 0x1261
const BLKDISCARD = 0x1277
const BLKZEROOUT = 0x127f
const BLKGETSIZE64 = 0x80081272
const FALLOC_FL_KEEP_SIZE = 1
const FALLOC_FL_PUNCH_HOLE = 2
const POSIX_FADV_DONTNEED = 4
const MS_RDONLY = 1
const MS_NOSUID = 2
const MS_NODEV = 4
const MNT_FORCE = 1
const MNT_DETACH = 2

type Callback<Result> = (err: Error | null, result: Result) => void

// Looked up at first use: whoever only parses an inventory needs no libc.
let calls: ReturnType<typeof openLibc> | undefined

function libc() {
  return (calls ??= openLibc())
}

function openLibc() {
  return nativeCalls((koffi) => {
    const library = koffi.load('libc.so.6')
    const ioctl = library.func('int ioctl(int fd, unsigned long request, void *argument)')
    const fallocate = library.func(
      'int fallocate(int fd, int mode, int64_t offset, int64_t length)',
    )
    return {
      /** Of the call before, of this thread. */
      errno: () => koffi.errno(),
      memoryAt: (pointer: bigint | null, bytes: number) => Buffer.from(koffi.view(pointer, bytes)),
      ioctl,
      /** On libuv's pool: these two may take long. */
      ioctlAsync: promisify(
        (fd: number, request: number, argument: Uint8Array, done: Callback<number>) =>
          ioctl.async(fd, request, argument, done),
      ),
      fallocateAsync: promisify(
        (fd: number, mode: number, offset: number, length: number, done: Callback<number>) =>
          fallocate.async(fd, mode, offset, length, done),
      ),
      mount: library.func(
        'int mount(const char *source, const char *at, const char *type, unsigned long flags, const char *data)',
      ),
      umount2: library.func('int umount2(const char *at, int flags)'),
      fadvise: library.func(
        'int posix_fadvise(int fd, int64_t offset, int64_t length, int advice)',
      ),
      memalign: library.func(
        'int posix_memalign(_Out_ void **pointer, size_t alignment, size_t bytes)',
      ),
    }
  })
}

/** A kernel call that failed. */
export class SystemCallError extends Error {
  override name = 'SystemCallError'
  readonly errno: number

  constructor(call: string, errno: number) {
    super(`${call} failed with error number ${errno}`)
    this.errno = errno
  }
}

function ioctl(fd: number, name: string, request: number, argument: Uint8Array | null): void {
  if (libc().ioctl(fd, request, argument) !== 0) throw new SystemCallError(name, libc().errno())
}

export function blockDeviceBytes(fd: number): number {
  const size = Buffer.alloc(8)
  ioctl(fd, 'BLKGETSIZE64', BLKGETSIZE64, size)
  return Number(size.readBigUInt64LE())
}

export function isReadOnly(fd: number): boolean {
  const value = Buffer.alloc(4)
  ioctl(fd, 'BLKROGET', BLKROGET, value)
  return value.readInt32LE() !== 0
}

/** Holds for the disk and its partitions until it is undone or the disk goes away. */
export function setReadOnly(fd: number, readOnly: boolean): void {
  const value = Buffer.alloc(4)
  value.writeInt32LE(readOnly ? 1 : 0)
  ioctl(fd, 'BLKROSET', BLKROSET, value)
}

/** Throws SystemCallError, with EBUSY while a partition is in use. */
export function rereadPartitionTable(fd: number): void {
  ioctl(fd, 'BLKRRPART', BLKRRPART, null)
}

/** Writes dirty buffers of the device out and forgets all that are cached. */
export function dropDeviceCache(fd: number): void {
  ioctl(fd, 'BLKFLSBUF', BLKFLSBUF, null)
}

export function dropFileCache(fd: number): void {
  libc().fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)
}

/**
 * Zeros on the device by the cheapest way that guarantees them: the kernel falls back to writing
 * them (Documentation/ABI/stable/sysfs-block, `write_zeroes_max_bytes`). False: not possible.
 */
export async function zeroOut(fd: number, start: number, length: number): Promise<boolean> {
  return (await libc().ioctlAsync(fd, BLKZEROOUT, range(start, length))) === 0
}

/** What is read afterwards is undefined. False: the device does not know discard. */
export async function discard(fd: number, start: number, length: number): Promise<boolean> {
  return (await libc().ioctlAsync(fd, BLKDISCARD, range(start, length))) === 0
}

/** Turns a part of a file to a hole, which reads as zeros. False: not possible. */
export async function punchHole(fd: number, start: number, length: number): Promise<boolean> {
  const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
  return (await libc().fallocateAsync(fd, mode, start, length)) === 0
}

function range(start: number, length: number): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64LE(BigInt(start), 0)
  bytes.writeBigUInt64LE(BigInt(length), 8)
  return bytes
}

/** Memory that O_DIRECT accepts. It is never given back: keep it in a pool. */
export function alignedMemory(alignment: number, bytes: number): Buffer {
  const pointer: [bigint | null] = [null]
  const failure: number = libc().memalign(pointer, alignment, bytes)
  if (failure !== 0) throw new SystemCallError('posix_memalign', failure)
  return libc().memoryAt(pointer[0], bytes)
}

/** Puts the one file that the program behind `fd` (of /dev/fuse) serves in place of the file at `path`. */
export function mountFuse(path: string, fd: number): void {
  const data = `fd=${fd},rootmode=100000,user_id=0,group_id=0`
  const flags = MS_RDONLY | MS_NOSUID | MS_NODEV
  if (libc().mount('stampede', path, 'fuse', flags, data) !== 0)
    throw new SystemCallError('mount of a FUSE file', libc().errno())
}

/** At once, whoever still waits for an answer. */
export function unmountFuse(path: string): void {
  libc().umount2(path, MNT_FORCE | MNT_DETACH)
}
