import type { Exec } from '../../exec.ts'
import { SWAP_FILES, omitSwapFile, withoutOmitted, type FilePiece } from '../page-files.ts'
import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'

/** sb_dblocks of the superblock. */
const BLOCKS_AT = 8
/** Partclone (0.3.23) counts the blocks before an allocation group in 32 bits. */
const MAX_BLOCKS = 2n ** 32n

export const surveyXfs: Surveyor = async (context, view) => {
  const blocks = (await view.peek(0, 512)).readBigUInt64BE(BLOCKS_AT)
  if (blocks > MAX_BLOCKS)
    return { kind: 'whole', reason: `it has ${blocks} blocks, which partclone miscounts` }
  const { stdout } = await context.exec('xfs_logprint', ['-t', view.path])
  const state = logState(stdout)
  if (state === 'DIRTY') return { kind: 'whole', reason: 'its log has not been replayed' }
  if (state !== 'CLEAN') return { kind: 'whole', reason: 'the state of its log is not known' }
  const used = await mapUsed(context, 'xfs', view)
  const omitted = []
  for (const file of SWAP_FILES) {
    const pieces = await findFile(context.exec, view.path, file)
    const omission = pieces && (await omitSwapFile(view, file, pieces))
    if (omission) omitted.push(omission)
  }
  return withoutOmitted(used, omitted)
}

/** `log tail: 2 head: 2 state: <CLEAN>`. */
function logState(text: string): string | undefined {
  return /\bstate: <(\w+)>/.exec(text)?.[1]
}

/** Where a regular file lies; undefined if there is none of this name, or it may share blocks with another. */
async function findFile(exec: Exec, device: string, path: string) {
  const inode = [`path ${path}`, 'p core.mode', 'p v3.reflink', 'bmap']
  const asked = ['sb 0', 'p blocksize agblocks', ...inode]
  const args = asked.flatMap((command) => ['-c', command])
  // It ends with 1 where a path leads nowhere.
  const answer = await exec('xfs_db', ['-r', ...args, device], { allowExitCodes: [1] })
  return parseBmap(answer.stdout)
}

/** `data offset 0 startblock 24 (0/24) count 5120 flag 0`: allocation group, and block in it. */
const PIECE = /^data offset (\d+) startblock \d+ \((\d+)\/(\d+)\) count (\d+)/gm

export function parseBmap(text: string): FilePiece[] | undefined {
  const value = (name: string) => Number(new RegExp(`^${name} = 0*(\\d+)$`, 'm').exec(text)?.[1])
  // Octal: 0100644.
  if (!String(value('core.mode')).startsWith('100')) return undefined
  // Its blocks may be those of another file, too.
  if (value('v3.reflink') === 1) return undefined
  const blockBytes = value('blocksize')
  const groupBlocks = value('agblocks')
  if (!(blockBytes > 0) || !(groupBlocks > 0)) return undefined
  return [...text.matchAll(PIECE)].map((match) => {
    const [at, group, block, count] = match.slice(1).map(Number)
    return {
      at: at! * blockBytes,
      start: (group! * groupBlocks + block!) * blockBytes,
      bytes: count! * blockBytes,
    }
  })
}
