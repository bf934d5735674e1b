import type { Device } from '../disk/device.ts'
import type { Piece } from './image-plan.ts'
import { verifyPieces } from './verify-pieces.ts'

/** What is flushed and read back together, while the writers go on. */
const WINDOW_BYTES = 128 * 1024 * 1024
/** Heads that went to and fro between writing and reading would take most of the time. */
const SPINNING_WINDOW_BYTES = 16 * 1024 ** 3
/** Writers wait when more than this is written and not read back yet. */
const MAX_PENDING_WINDOWS = 8
/** Read once more at the end. */
const LAST_LOOK_PIECES = 64

export interface ReadBackOptions {
  device: Device
  zeroUnused: boolean
  isSpinning: boolean
  signal: AbortSignal
  onVerified: (piece: Piece) => void
}

/** Proves what was written while more is being written. */
export interface ReadBack extends AsyncDisposable {
  /** Aborted when a window did not read back as it should: no use in writing on. */
  readonly signal: AbortSignal
  /** The piece is written. Waits if reading back can't keep up. */
  written(piece: Piece): Promise<void>
  /** The piece was read from the disk and found right; it takes part in the last look. */
  held(piece: Piece): void
  /** All that was written so far is proven, or this throws. */
  settle(): Promise<void>
}

/**
 * A window is a list of pieces whose writes have ended. It is flushed, so that a disk with a cache
 * of its own has it on the medium, the kernel's cache is dropped, and then it is read.
 */
export function createReadBack(options: ReadBackOptions): ReadBack {
  const { device, isSpinning } = options
  const failure = new AbortController()
  const signal = AbortSignal.any([options.signal, failure.signal])
  const windowBytes = isSpinning ? SPINNING_WINDOW_BYTES : WINDOW_BYTES
  const maxPending = isSpinning ? 0 : MAX_PENDING_WINDOWS
  const lastLook = createSample(LAST_LOOK_PIECES)
  let window: Piece[] = []
  let bytes = 0
  let windows = 0
  let pending = 0
  let last = Promise.resolve()

  async function prove(pieces: Piece[]): Promise<void> {
    try {
      signal.throwIfAborted()
      await device.flush()
      device.dropCache()
      await verifyPieces(each(pieces), { ...options, signal })
    } catch (err) {
      failure.abort(err)
    } finally {
      pending--
    }
  }

  function close(): void {
    // As they lie on the disk, not as their writes ended.
    const pieces = window.toSorted((one, other) => one.start - other.start)
    window = []
    bytes = 0
    windows++
    pending++
    last = last.then(() => prove(pieces))
  }

  /** Of disks that claim more room than they have, later writes land on earlier ones. */
  async function lookOnceMore(): Promise<void> {
    const seen = () => {}
    await verifyPieces(each(lastLook.items), { ...options, signal, onVerified: seen })
  }

  return {
    signal,
    async written(piece) {
      window.push(piece)
      lastLook.add(piece)
      bytes += piece.end - piece.start
      if (bytes >= windowBytes) close()
      if (pending > maxPending) await last
    },
    held: (piece) => lastLook.add(piece),
    async settle() {
      if (window.length > 0) close()
      await last
      options.signal.throwIfAborted()
      failure.signal.throwIfAborted()
      if (windows > 1) await lookOnceMore()
    },
    async [Symbol.asyncDispose]() {
      failure.abort(new Error('Reading back was stopped'))
      await last
    },
  }
}

async function* each(pieces: readonly Piece[]): AsyncGenerator<Piece> {
  yield* pieces
}

/** Some of many, each with the same chance. */
function createSample(size: number) {
  const items: Piece[] = []
  let seen = 0
  return {
    items,
    add(piece: Piece): void {
      if (piece.kind !== 'data') return
      const slot = seen < size ? seen : Math.floor(Math.random() * (seen + 1))
      seen++
      if (slot < size) items[slot] = piece
    },
  }
}
