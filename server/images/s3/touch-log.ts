import type { Sha256 } from '#protocol/sha256.ts'

/**
 * When chunks were touched, for a store whose time stamps cannot be changed. All servers of a store
 * share it.
 */
export interface TouchLog {
  /** When it resolves, no removal whose cutoff lies before the call takes these chunks any more. */
  record(hashes: readonly Sha256[]): Promise<void>
  /**
   * Does what removes chunks whose hash begins with the prefix. `wasTouched` tells which it must
   * spare: those touched at the cutoff or later, and a few others. Touches wait meanwhile.
   */
  removing<Result>(
    prefix: string,
    cutoff: Date,
    remove: (wasTouched: (hash: Sha256) => boolean) => Promise<Result>,
  ): Promise<Result>
  /** No removal will have a cutoff before this one. */
  forget(prefix: string, cutoff: Date): Promise<void>
}
