import type { Manifest } from '#protocol/image/image.ts'
import type { Receipt } from '#protocol/run/run.ts'
import type { Piece } from './image-plan.ts'

export interface TallyOptions {
  manifest: Manifest
  zeroUnused: boolean
  readBack: boolean
  progress: (bytesDone: number, bytesTotal: number) => void
}

type Phase = keyof NonNullable<Receipt['durations']>

/** Counts for the receipt and for who watches. Each byte is done when written and when proven. */
export function createTally({ manifest, zeroUnused, readBack, progress }: TallyOptions) {
  const totalBytes = manifest.sizeBytes * (readBack ? 2 : 1)
  const durations: NonNullable<Receipt['durations']> = {}
  let bytesDone = 0
  const counts = {
    bytesWritten: 0,
    bytesZeroed: 0,
    bytesSkipped: 0,
    bytesVerified: 0,
    bytesUnused: 0,
  }
  const isLeft = (piece: Piece) => piece.kind === 'unused' && !zeroUnused

  function advance({ start, end }: Piece): number {
    progress((bytesDone += end - start), totalBytes)
    return end - start
  }

  return {
    onWritten(piece: Piece): void {
      const bytes = advance(piece)
      if (isLeft(piece)) counts.bytesUnused += bytes
      else counts.bytesWritten += bytes
      if (piece.kind !== 'data' && !isLeft(piece)) counts.bytesZeroed += bytes
    },
    onVerified(piece: Piece): void {
      const bytes = advance(piece)
      if (!isLeft(piece)) counts.bytesVerified += bytes
    },
    /** Read from the device and found right: that is the proof. */
    onHeld(piece: Piece): void {
      const bytes = advance(piece)
      if (readBack) advance(piece)
      counts.bytesSkipped += bytes
      counts.bytesVerified += bytes
    },
    counts: () => ({ ...counts }),
    async time(phase: Phase, work: Promise<void> | (() => Promise<void>)): Promise<void> {
      const startedAt = performance.now()
      await (typeof work === 'function' ? work() : work)
      const seconds = (performance.now() - startedAt) / 1000
      durations[phase] = Number(((durations[phase] ?? 0) + seconds).toFixed(3))
    },
    durations: () => durations,
  }
}
