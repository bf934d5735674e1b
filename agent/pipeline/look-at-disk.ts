import { CHUNK_BYTES, chunkLength } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { isZero } from '../chunks/content.ts'
import { hashChunk } from '../chunks/chunk-pool.ts'
import { withChunkBuffer } from '../disk/buffer-pool.ts'
import type { Device } from '../disk/device.ts'
import { tryRead } from '../disk/try-read.ts'
import type { ChunkIndex } from './chunk-index.ts'
import type { Piece } from './image-plan.ts'

/** Places looked at of each kind; 32 MiB together are 4 % of what one reads of a small system. */
const SAMPLES: Record<Piece['kind'], number> = { data: 32, zero: 8, unused: 24 }
/** An attempt that was cut short began with these. */
const FIRSTS = 16
const SEEKS = 9
const SEEK_BYTES = 4096
/** Heads take 4 to 15 ms to a place; what has none is there in less than one. */
const SPINNING_MILLISECONDS = 3

export interface Sample {
  place: number
  /** What the image has there, if it is content. */
  hash?: Sha256
}

export interface Survey {
  chunks: Record<Piece['kind'], number>
  samples: Record<Piece['kind'], Sample[]>
  /** Of the content, what is written first. */
  firsts: Sample[]
}

/** Counts an image's chunks, tells the index what it wants, and picks places by chance. */
export async function surveyImage(
  pieces: AsyncIterable<Piece>,
  index: ChunkIndex,
): Promise<Survey> {
  const survey: Survey = {
    chunks: { data: 0, zero: 0, unused: 0 },
    samples: { data: [], zero: [], unused: [] },
    firsts: [],
  }
  const seen: Record<Piece['kind'], number> = { data: 0, zero: 0, unused: 0 }
  for await (const piece of pieces) {
    const { kind } = piece
    const first = piece.start / CHUNK_BYTES
    if (kind === 'data') {
      index.add(piece.hash)
      if (survey.firsts.length < FIRSTS) survey.firsts.push({ place: first, hash: piece.hash })
    }
    const count = Math.ceil((piece.end - piece.start) / CHUNK_BYTES)
    survey.chunks[kind] += count
    // A reservoir: each piece ends up in the sample with the same chance.
    const before = seen[kind]++
    const slot = before < SAMPLES[kind] ? before : Math.floor(Math.random() * (before + 1))
    if (slot >= SAMPLES[kind]) continue
    const place = first + Math.floor(Math.random() * count)
    survey.samples[kind][slot] = { place, ...(kind === 'data' && { hash: piece.hash }) }
  }
  return survey
}

/** Of the places looked at, the part that holds what the image wants there or elsewhere. */
export type Usefulness = Record<Piece['kind'], number>

export interface Look {
  useful: Usefulness
  /** Some of what is written first is there: by an attempt that was cut short, however little it wrote. */
  isBegun: boolean
  /** Going from place to place takes time: there are heads to move. */
  isSpinning: boolean
}

export async function lookAtDisk(
  device: Device,
  survey: Survey,
  index: ChunkIndex,
  imageBytes: number,
  signal: AbortSignal,
): Promise<Look> {
  const useful: Usefulness = { data: 0, zero: 0, unused: 0 }
  const { samples } = survey
  const isSpinning = await seeksSlowly(device, samples)
  for (const kind of ['data', 'zero', 'unused'] as const)
    useful[kind] = await shareOf(
      samples[kind],
      (found, { hash }) => isContent(found) && (found === hash || index.wants(found)),
    )
  const isBegun = (await shareOf(survey.firsts, (found, { hash }) => found === hash)) > 0
  return { useful, isBegun, isSpinning }

  async function shareOf(places: Sample[], isUseful: (found: Found, sample: Sample) => boolean) {
    const outcomes = await Promise.all(
      places.map(async (sample) => {
        signal.throwIfAborted()
        const { place } = sample
        return isUseful(await hashOnDisk(device, place, chunkLength(imageBytes, place)), sample)
      }),
    )
    return outcomes.filter(Boolean).length / Math.max(1, outcomes.length)
  }
}

/** A disk's chunk: what it holds, by its hash. */
export type Found = Sha256 | 'zero' | 'unreadable'

export function isContent(found: Found): found is Sha256 {
  return found !== 'zero' && found !== 'unreadable'
}

export async function hashOnDisk(device: Device, place: number, length: number): Promise<Found> {
  return await withChunkBuffer(async (buffer) => {
    const bytes = buffer.subarray(0, length)
    if (!(await tryRead(device, bytes, place * CHUNK_BYTES))) return 'unreadable'
    return isZero(bytes) ? 'zero' : await hashChunk(bytes)
  })
}

async function seeksSlowly(device: Device, samples: Survey['samples']): Promise<boolean> {
  const places = [...samples.data, ...samples.zero, ...samples.unused].slice(0, SEEKS)
  if (places.length < SEEKS || device.sizeBytes % SEEK_BYTES !== 0) return false
  return await withChunkBuffer(async (buffer) => {
    const times: number[] = []
    for (const { place } of places) {
      const startedAt = performance.now()
      await tryRead(device, buffer.subarray(0, SEEK_BYTES), place * CHUNK_BYTES)
      times.push(performance.now() - startedAt)
    }
    return times.toSorted((a, b) => a - b)[Math.floor(SEEKS / 2)]! > SPINNING_MILLISECONDS
  })
}
