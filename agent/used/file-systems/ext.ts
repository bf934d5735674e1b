import type { Exec } from '../../exec.ts'
import { SWAP_FILES, omitSwapFile, withoutOmitted, type FilePiece } from '../page-files.ts'
import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'

/** ext2, ext3 and ext4. */
export const surveyExt: Surveyor = async (context, view) => {
  const facts = parseDumpe2fs((await context.exec('dumpe2fs', ['-h', view.path])).stdout)
  const reason = whyNotExt(facts)
  if (reason !== undefined) return { kind: 'whole', reason }
  const used = await mapUsed(context, 'extfs', view)
  const omitted = []
  for (const file of SWAP_FILES) {
    const pieces = await findFile(context.exec, view.path, file, facts.blockBytes)
    const omission = pieces && (await omitSwapFile(view, file, pieces))
    if (omission) omitted.push(omission)
  }
  return withoutOmitted(used, omitted)
}

export interface ExtFacts {
  /** `clean`, `not clean`, `clean with errors`. */
  state: string
  features: readonly string[]
  blockBytes: number
}

function parseDumpe2fs(text: string): ExtFacts {
  const value = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(text)?.[1] ?? ''
  return {
    state: value('Filesystem state').trim(),
    features: value('Filesystem features').trim().split(/\s+/),
    blockBytes: Number(value('Block size')),
  }
}

/** Why its bitmaps can't be trusted, if so. */
function whyNotExt({ state, features }: ExtFacts): string | undefined {
  if (features.includes('needs_recovery')) return 'its journal has not been replayed'
  if (features.includes('journal_dev')) return 'it is the journal of another file system'
  if (features.includes('bigalloc'))
    return 'it has clusters of several blocks (bigalloc), which partclone does not know'
  if (state !== 'clean') return `it is marked "${state}"`
  return undefined
}

/** Where a regular file lies; undefined if there is none of this name. */
async function findFile(exec: Exec, device: string, path: string, blockBytes: number) {
  // Its exit code is 0 whatever happens.
  const { stdout } = await exec('debugfs', ['-R', `stat ${path}`, device])
  return parseStat(stdout, blockBytes)
}

/** `(0-8191):16385-24576, (8192-20479[u]):26625-38912`; `(IND):1250` lists no content. */
const PIECE = /\((\d+)(?:-\d+)?(?:\[u\])?\):(\d+)(?:-(\d+))?/g

export function parseStat(text: string, blockBytes: number): FilePiece[] | undefined {
  if (!/^Inode:.*\bType: regular\b/m.test(text)) return undefined
  const list = /^(?:EXTENTS|BLOCKS):\n(.*)$/m.exec(text)?.[1] ?? ''
  return [...list.matchAll(PIECE)].map(([, at, first, last]) => ({
    at: Number(at) * blockBytes,
    start: Number(first) * blockBytes,
    bytes: (Number(last ?? first) - Number(first) + 1) * blockBytes,
  }))
}
