import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '#agent/exec.ts'
import { openFuseFile, type DiskAnswer, type DiskRequest, type Errno } from './fuse-file.ts'

const PAGE_BYTES = 4096

/** What a bad disk does with a request, instead of what it was told. */
export type DiskFault =
  | { kind: 'error'; errno: Errno }
  /** A read answers, a write stores, one bit wrong at that byte of the disk. */
  | { kind: 'flip'; at: number }
  /** A write is answered as done, and is not. */
  | { kind: 'lost' }
  /** A write lands elsewhere, a read comes from there. */
  | { kind: 'misplaced'; to: number }
  /** Half of a write is done, then it fails. */
  | { kind: 'torn' }
  /** It is done, but only when this is fulfilled. */
  | { kind: 'held'; until: Promise<unknown> }

/** A disk in memory behind a block device of the kernel's, as bad as a test wants it. */
export interface FaultDisk extends AsyncDisposable {
  /** `/dev/loop3` */
  readonly path: string
  readonly sizeBytes: number
  /** What the disk holds, its cache included; not a copy. */
  readonly content: Buffer
  /** Asked for each request in the order in which they come. */
  fault: ((request: DiskRequest) => DiskFault | undefined) | undefined
  /** From now on the disk holds this, and nobody has it in memory. */
  fill(content: Uint8Array): void
  /**
   * What was never flushed may be lost: each page of it stays or goes as `isKept` says, as in a disk with
   * a cache of its own that loses its power.
   */
  losePower(isKept: () => boolean): void
  /** Pages that were written and not flushed. */
  unflushedPages(): number
}

/**
 * A file of this process (FUSE) behind a loop device that keeps nothing in memory: all that the kernel does
 * with the disk is asked here.
 */
export async function openFaultDisk(sizeBytes: number): Promise<FaultDisk> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'stampede-fault-disk-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const state = createContent(sizeBytes)
  const disk: Pick<FaultDisk, 'fault'> = { fault: undefined }
  const file = opened.use(
    await openFuseFile(join(folder, 'disk'), sizeBytes, (request) =>
      perform(state, request, disk.fault?.(request)),
    ),
  )
  const losetup = ['--find', '--show', '--direct-io=on', file.path]
  const path = (await exec('losetup', losetup)).stdout.trim()
  opened.defer(async () => {
    disk.fault = undefined
    await exec('losetup', ['--detach', path])
  })
  file.unmount()
  await exec('blockdev', ['--setrw', path])
  const resources = opened.move()
  return {
    path,
    sizeBytes,
    content: state.content,
    get fault() {
      return disk.fault
    },
    set fault(fault) {
      disk.fault = fault
    },
    fill: (content) => state.fill(content),
    losePower: (isKept) => state.losePower(isKept),
    unflushedPages: () => state.dirty.size,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

interface Content {
  readonly content: Buffer
  readonly dirty: Set<number>
  write(data: Uint8Array, start: number): void
  flush(): void
  fill(content: Uint8Array): void
  losePower(isKept: () => boolean): void
}

/** What a disk holds, and what of it is on the medium. */
function createContent(sizeBytes: number): Content {
  const content = Buffer.alloc(sizeBytes)
  const medium = Buffer.alloc(sizeBytes)
  const dirty = new Set<number>()
  const copy = (from: Buffer, to: Buffer, page: number) =>
    from.copy(to, page * PAGE_BYTES, page * PAGE_BYTES, (page + 1) * PAGE_BYTES)
  return {
    content,
    dirty,
    write(data, start) {
      content.set(data, start)
      const end = start + data.length
      for (let page = Math.floor(start / PAGE_BYTES); page * PAGE_BYTES < end; page++)
        dirty.add(page)
    },
    flush() {
      for (const page of dirty) copy(content, medium, page)
      dirty.clear()
    },
    fill(bytes) {
      content.fill(0).set(bytes)
      content.copy(medium)
      dirty.clear()
    },
    losePower(isKept) {
      for (const page of dirty)
        if (isKept()) copy(content, medium, page)
        else copy(medium, content, page)
      dirty.clear()
    },
  }
}

async function perform(
  state: Content,
  request: DiskRequest,
  fault: DiskFault | undefined,
): Promise<DiskAnswer> {
  const { kind, start, end } = request
  if (fault?.kind === 'error') return fault.errno
  if (fault?.kind === 'held') await fault.until
  if (kind === 'flush') {
    state.flush()
    return undefined
  }
  if (kind === 'read') {
    const from = fault?.kind === 'misplaced' ? fault.to : start
    const data = Buffer.from(state.content.subarray(from, from + end - start))
    return fault?.kind === 'flip' ? flip(data, fault.at - start) : data
  }
  if (fault?.kind === 'lost') return undefined
  const data = kind === 'write' ? request.data : Buffer.alloc(end - start)
  if (fault?.kind === 'torn') {
    state.write(data.subarray(0, data.length / 2), start)
    return 'EIO'
  }
  if (fault?.kind === 'flip') flip(data, fault.at - start)
  state.write(data, fault?.kind === 'misplaced' ? fault.to : start)
  return undefined
}

function flip(data: Buffer, at: number): Buffer {
  data[at]! ^= 1
  return data
}
