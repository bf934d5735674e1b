import type { Piece } from './image-plan.ts'
import type { Look, Survey } from './look-at-disk.ts'

/**
 * How a disk is brought to hold an image.
 *
 * - `write`: it holds nothing of use, so nothing is read first.
 * - `compare`: it holds some of it; each chunk is read right before it would be fetched, as long as
 *   that takes less time than it saves.
 * - `scan`: most of it is there; all is read first, so that content that moved is found, too.
 */
export type Approach =
  | { kind: 'write' }
  | { kind: 'compare' }
  | { kind: 'scan'; kinds: ReadonlySet<Piece['kind']> }

/** From this share on, reading everything before the first fetch costs less than it finds. */
const SCAN_SHARE = 0.5

export function chooseApproach(
  { useful, isBegun }: Pick<Look, 'useful' | 'isBegun'>,
  chunks: Survey['chunks'],
): Approach {
  const found =
    useful.data * chunks.data + useful.zero * chunks.zero + useful.unused * chunks.unused
  if (found > 0 && found >= SCAN_SHARE * chunks.data) {
    const kinds = (['data', 'zero', 'unused'] as const).filter(
      (kind) => kind !== 'unused' || useful[kind] > 0,
    )
    return { kind: 'scan', kinds: new Set(kinds) }
  }
  return useful.data > 0 || isBegun ? { kind: 'compare' } : { kind: 'write' }
}
