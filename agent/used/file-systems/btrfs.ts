import { totalBytes } from '../extents.ts'
import { mapUsed } from '../partclone.ts'
import type { Surveyor } from '../region.ts'

export const surveyBtrfs: Surveyor = async (context, view) => {
  const args = ['inspect-internal', 'dump-super', view.path]
  const facts = parseDumpSuper((await context.exec('btrfs', args)).stdout)
  const reason = whyNotBtrfs(facts)
  if (reason !== undefined) return { kind: 'whole', reason }
  const used = await mapUsed(context, 'btrfs', view)
  // Partclone goes on after a tree that it can't read; what it counted then is too little.
  const found = totalBytes(used)
  if (found < facts.bytesUsed)
    throw new Error(`partclone.btrfs found ${found} bytes of ${facts.bytesUsed} that are in use`)
  return { kind: 'used', used, leftOut: [], patches: [] }
}

export interface BtrfsFacts {
  devices: number
  logRoot: number
  bytesUsed: number
}

export function parseDumpSuper(text: string): BtrfsFacts {
  const value = (name: string) => Number(new RegExp(`^${name}\\s+(\\d+)`, 'm').exec(text)?.[1])
  return {
    devices: value('num_devices'),
    logRoot: value('log_root'),
    bytesUsed: value('bytes_used'),
  }
}

export function whyNotBtrfs({ devices, logRoot, bytesUsed }: BtrfsFacts): string | undefined {
  if (![devices, logRoot, bytesUsed].every(Number.isSafeInteger))
    return 'its superblock is not understood'
  if (devices !== 1) return `it is one of ${devices} devices of a file system`
  if (logRoot !== 0) return 'its log has not been replayed'
  return undefined
}
