import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'

/** ext2, ext3 and ext4. */
export const surveyExt: Surveyor = async (context, view) => {
  const { stdout } = await context.exec('dumpe2fs', ['-h', view.path])
  const reason = whyNotExt(parseDumpe2fs(stdout))
  if (reason !== undefined) return { kind: 'whole', reason }
  return { kind: 'used', used: await mapUsed(context, 'extfs', view), leftOut: [], patches: [] }
}

export interface ExtFacts {
  /** `clean`, `not clean`, `clean with errors`. */
  state: string
  features: readonly string[]
}

export function parseDumpe2fs(text: string): ExtFacts {
  const value = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? ''
  return {
    state: value('Filesystem state').trim(),
    features: value('Filesystem features').split(/\s+/),
  }
}

/** Why its bitmaps can't be trusted, if so. */
export function whyNotExt({ state, features }: ExtFacts): string | undefined {
  if (features.includes('needs_recovery')) return 'its journal has not been replayed'
  if (features.includes('journal_dev')) return 'it is the journal of another file system'
  if (features.includes('bigalloc'))
    return 'it has clusters of several blocks (bigalloc), which partclone does not know'
  if (state !== 'clean') return `it is marked "${state}"`
  return undefined
}
