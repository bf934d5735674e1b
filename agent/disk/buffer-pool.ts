import { CHUNK_BYTES } from '#protocol/image/image.ts'

/** What WebAssembly counts memory in; its memory begins on a page of the processor, too. */
const WASM_PAGE_BYTES = 65_536
const PAGES_OF_CHUNK = CHUNK_BYTES / WASM_PAGE_BYTES
/** A chunk that does not compress becomes barely longer (RFC 8878, section 3.1.1.2: 3 bytes a block). */
const PAGES_OF_FRAME = PAGES_OF_CHUNK + 1
/** Of chunks in use at once, and as many frames; a capture has 48, a deploy 16. */
const MAX_CHUNKS = 256

/** The part of WebAssembly's interface that is needed here; Node's types leave it out. */
interface SharedMemory {
  readonly buffer: SharedArrayBuffer
  /** Returns the pages that there were before. */
  grow(pages: number): number
}
const { Memory } = Reflect.get(globalThis, 'WebAssembly') as {
  Memory: new (size: { initial: number; maximum: number; shared: true }) => SharedMemory
}

/**
 * Page-aligned, as O_DIRECT wants it, and shared with the threads that hash and inflate: the only
 * memory of JavaScript that is both.
 */
const memory = new Memory({
  initial: 0,
  maximum: MAX_CHUNKS * (PAGES_OF_CHUNK + PAGES_OF_FRAME),
  shared: true,
})
const freeChunks: Buffer[] = []
const freeFrames: Buffer[] = []

/**
 * A page-aligned buffer of one chunk, for the time of `use`. Memory is reused and grows with the
 * number of those in use at once, so that number is what bounds it.
 */
export function withChunkBuffer<Result>(use: (buffer: Buffer) => Promise<Result>): Promise<Result> {
  return withBuffer(freeChunks, PAGES_OF_CHUNK, use)
}

/** As `withChunkBuffer`, for whatever a chunk is compressed to. */
export function withFrameBuffer<Result>(use: (buffer: Buffer) => Promise<Result>): Promise<Result> {
  return withBuffer(freeFrames, PAGES_OF_FRAME, use)
}

async function withBuffer<Result>(
  free: Buffer[],
  pages: number,
  use: (buffer: Buffer) => Promise<Result>,
): Promise<Result> {
  const buffer = free.pop() ?? createBuffer(pages)
  try {
    return await use(buffer)
  } finally {
    free.push(buffer)
  }
}

function createBuffer(pages: number): Buffer {
  const start = memory.grow(pages) * WASM_PAGE_BYTES
  return Buffer.from(memory.buffer, start, pages * WASM_PAGE_BYTES)
}
