import { extentsOf, subtract, totalBytes, type ByteSpan, type Extents } from './extents.ts'
import type { LeftOut, Patch, RegionView } from './region.ts'
import { SWAP_PROBE_BYTES, readSwapHeader } from './swap.ts'

/** Where distributions put a swap file. */
export const SWAP_FILES = ['/swapfile', '/swap.img', '/swap/swapfile', '/.swapfile', '/var/swap']

/** A part of a file: its place in the file, and where in the region it lies. */
export interface FilePiece {
  at: number
  start: number
  bytes: number
}

/** What a capture need not read of a region, and what it notes instead. */
export interface Omission {
  free: Extents
  patches: Patch[]
  leftOut: LeftOut
}

/**
 * A swap file without its content. Its header stays, or the deployed system could not swap; if a
 * system sleeps in it, nobody wakes it up in a copy. Undefined if it is no swap file after all.
 */
export async function omitSwapFile(
  view: RegionView,
  path: string,
  pieces: readonly FilePiece[],
): Promise<Omission | undefined> {
  const header = readSwapHeader(await readHead(view, pieces, SWAP_PROBE_BYTES))
  if (!header) return undefined
  const { page, endBytes, isHibernated } = header
  const free = placesOf(pieces, { start: page.length, end: endBytes })
  return {
    free,
    patches: isHibernated ? patchesOf(pieces, page) : [],
    leftOut: { what: `swap file ${path}`, bytes: totalBytes(free) },
  }
}

/** A file without its content but for the first `keptBytes`. */
export function omitFile(what: string, pieces: readonly FilePiece[], keptBytes: number): Omission {
  const free = placesOf(pieces, { start: keptBytes, end: Infinity })
  return { free, patches: [], leftOut: { what, bytes: totalBytes(free) } }
}

/** What is left of `used` without them. */
export function withoutOmitted(used: Extents, omissions: readonly Omission[]) {
  return {
    kind: 'used' as const,
    used: omissions.reduce((rest, { free }) => subtract(rest, free), used),
    patches: omissions.flatMap(({ patches }) => patches),
    leftOut: omissions.map(({ leftOut }) => leftOut),
  }
}

/** The first bytes of a file, as many as it has of `length`; a hole ends them. */
export async function readHead(
  view: Pick<RegionView, 'peek'>,
  pieces: readonly FilePiece[],
  length: number,
): Promise<Buffer> {
  const parts: Buffer[] = []
  let at = 0
  for (const piece of pieces.toSorted((a, b) => a.at - b.at)) {
    if (piece.at !== at || at >= length) break
    const part = await view.peek(piece.start, Math.min(piece.bytes, length - at))
    parts.push(part)
    at += part.length
  }
  return Buffer.concat(parts)
}

/** Where `[start, end)` of a file lies. */
function placesOf(pieces: readonly FilePiece[], wanted: ByteSpan): Extents {
  const spans: ByteSpan[] = pieces.map(({ at, start, bytes }) => ({
    start: start + Math.max(0, wanted.start - at),
    end: start + Math.min(bytes, wanted.end - at),
  }))
  return extentsOf(spans.filter(({ start, end }) => start < end))
}

/** Content for the first bytes of a file. */
function patchesOf(pieces: readonly FilePiece[], content: Buffer): Patch[] {
  return pieces
    .filter(({ at }) => at < content.length)
    .map(({ at, start, bytes }) => ({ start, bytes: content.subarray(at, at + bytes) }))
}
