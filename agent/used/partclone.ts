import { VERITY_MAGIC_BYTES, isVerity } from '../system/verity.ts'
import { MAX_SPANS, createExtentsBuilder, type Extents } from './extents.ts'
import { readLines } from './read-lines.ts'
import type { LookContext, RegionView } from './region.ts'

/** Reading all bitmaps of a large file system on a slow disk takes minutes. */
const MAP_TIMEOUT_SECONDS = 1800

/** `0x00000000  0x007CD000  +`: position, size, and `+` used or `?` free. */
const MAP_LINE = /^0x([0-9A-F]+)\s+0x([0-9A-F]+)\s+([+?])$/i

/**
 * What a file system uses of `view`, by `partclone.<tool> -D`. What lies behind the file system's
 * end counts as used: a RAID or another tool may keep its own there.
 *
 * Partclone checks whether the file system was left in order, and fails if not. Throws where it
 * does, where it crashes, and where its answer has holes.
 */
export async function mapUsed(
  { signal }: LookContext,
  tool: 'extfs' | 'xfs' | 'btrfs' | 'ntfs' | 'fat',
  view: RegionView,
): Promise<Extents> {
  const builder = createExtentsBuilder(MAX_SPANS)
  let mapped = 0
  // -f 0: its thread that shows progress sleeps for whole seconds otherwise, and is waited for.
  const args = ['-D', '-q', '-f', '0', '-L', '/dev/null', '-s', view.path, '-o', '-']
  const options = { signal, timeoutSeconds: MAP_TIMEOUT_SECONDS }
  const stderr = await readLines(`partclone.${tool}`, args, options, (line) => {
    const match = MAP_LINE.exec(line)
    if (!match) return
    const start = Number.parseInt(match[1]!, 16)
    const end = start + Number.parseInt(match[2]!, 16)
    if (start !== mapped || end > view.sizeBytes)
      throw new Error(`partclone.${tool} lists bytes ${start} to ${end} after byte ${mapped}`)
    if (match[3] === '+') builder.add(start, end)
    mapped = end
  })
  if (mapped === 0) throw new Error(`partclone.${tool} listed nothing`)
  // It goes on after what it could not read, having only said so.
  const complaint = stderr.split(/[\r\n]+/).find((line) => /fail|error|invalid|bug/i.test(line))
  if (complaint !== undefined) throw new Error(`partclone.${tool} says: ${complaint.trim()}`)
  if (isVerity(await view.peek(mapped, Math.min(VERITY_MAGIC_BYTES, view.sizeBytes - mapped))))
    throw new Error('hashes of all of it lie behind it (dm-verity), free space included')
  builder.add(mapped, view.sizeBytes)
  return builder.build()
}
