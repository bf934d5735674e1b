import { CHUNK_BYTES, chunkCount, type Manifest } from '#protocol/image/image.ts'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Receipt } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { ChunkClient } from '../chunks/chunk-client.ts'
import type { Device } from '../disk/device.ts'
import { chooseApproach, type Approach } from './choose-approach.ts'
import { createChunkIndex } from './chunk-index.ts'
import { createChunkSource } from './chunk-source.ts'
import { createCompareWorth } from './compare-worth.ts'
import { createDiscarder } from './discard.ts'
import { createHeldChunks } from './held-chunks.ts'
import { createImageParts } from './image-parts.ts'
import { writeOrder, type ChunkRange, type Piece } from './image-plan.ts'
import { lookAtDisk, surveyImage } from './look-at-disk.ts'
import { moveChunks } from './move-chunks.ts'
import { createReadBack } from './read-back.ts'
import { scanDisk } from './scan-disk.ts'
import { createTally } from './tally.ts'
import { writePieces } from './write-pieces.ts'

export interface BringOptions {
  device: Device
  manifest: Manifest
  chunks: ChunkClient
  /** What the disk's ends held before they were made zero. */
  ends: ReadonlyMap<Sha256, Buffer>
  zeroUnused: boolean
  /** false leaves out the proof that the disk holds what was written. */
  readBack: boolean
  signal: AbortSignal
  log: (text: string) => void
  progress: (bytesDone: number, bytesTotal: number) => void
}

/**
 * Makes the disk hold the image, and proves it. Only what differs is fetched and written; no state
 * is kept, so a second deploy, and one after a power cut, are the same to it.
 *
 * The order is what keeps an unfinished disk from booting: all but the tables, the backup table, the
 * head, each on the medium and proven before the next begins.
 */
export async function bringImage(options: BringOptions): Promise<Partial<Receipt>> {
  const { device, manifest, chunks, signal, zeroUnused, log } = options
  const tally = createTally(options)
  const parts = createImageParts(manifest, chunks, signal)
  const order = writeOrder(manifest)
  const index = createChunkIndex()
  const held = createHeldChunks(chunkCount(manifest.sizeBytes))
  const survey = await surveyImage(parts(order.body), index)
  const look = await lookAtDisk(device, survey, index, manifest.sizeBytes, signal)
  const approach = chooseApproach(look, survey.chunks)
  log(tellApproach(approach))

  const source = createChunkSource({ ...options, index })
  const discard = createDiscarder(device)
  const { isSpinning } = look

  async function bring(range: ChunkRange, how: Approach): Promise<void> {
    await using proof = createReadBack({
      ...options,
      isSpinning,
      onVerified: (piece) => tally.onVerified(piece),
    })
    const onWritten = async (piece: Piece) => {
      tally.onWritten(piece)
      if (piece.kind === 'data')
        index.found(piece.hash, { place: piece.start / CHUNK_BYTES, stays: true })
      if (options.readBack) await proof.written(piece)
    }
    const target = { device, source, discard, zeroUnused, signal: proof.signal, onWritten }
    const whenHeld = (piece: Piece) => {
      tally.onHeld(piece)
      proof.held(piece)
    }
    if (how.kind === 'scan') {
      const scan = { device, index, held, kinds: how.kinds, signal, onHeld: whenHeld }
      await tally.time('compareSeconds', scanDisk(parts(range), scan))
      log(`The disk held ${formatBytes(tally.counts().bytesSkipped)} of the image already`)
    }
    await tally.time('writeSeconds', async () => {
      if (how.kind === 'scan') await moveChunks(parts(range), { ...target, index, held })
      const compare = how.kind === 'compare' ? createCompareWorth() : undefined
      const left = without(parts(range), held)
      await writePieces(left, { ...target, compare, onHeld: whenHeld })
    })
    await tally.time('readBackSeconds', proof.settle())
    await device.flush()
    if (options.readBack)
      log(`Proven so far: ${formatBytes(tally.counts().bytesVerified)} of the disk`)
  }

  await bring(order.body, approach)
  await bring(order.backup, approach.kind === 'write' ? approach : { kind: 'compare' })
  await bring(order.head, { kind: 'write' })
  return { ...tally.counts(), bytesFetched: chunks.bytesFetched(), durations: tally.durations() }
}

/** The pieces without the chunks that the disk holds. */
async function* without(
  pieces: AsyncIterable<Piece>,
  held: { has(place: number): boolean },
): AsyncGenerator<Piece> {
  for await (const piece of pieces) {
    let start = piece.start
    for (let at = piece.start; at < piece.end; at += CHUNK_BYTES) {
      if (!held.has(at / CHUNK_BYTES)) continue
      if (at > start) yield { ...piece, start, end: at }
      start = Math.min(at + CHUNK_BYTES, piece.end)
    }
    if (start < piece.end) yield { ...piece, start }
  }
}

function tellApproach(approach: Approach): string {
  switch (approach.kind) {
    case 'write':
      return 'The disk holds nothing of the image: it is written without being read first'
    case 'compare':
      return 'The disk holds a part of the image: chunks are compared before they are fetched'
    case 'scan':
      return 'The disk holds most of the image: it is read first, and only what differs is fetched'
  }
}
