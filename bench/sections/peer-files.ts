import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { timePipeline } from '../rounds.ts'
import type { Setting } from '../setting.ts'

/** The source disk as other tools keep it: what they deploy from, and how much that is. */
const PEER_FILES = {
  'image.gz': ({ source }: Setting, file: string) => `pigz -1 <${source} >${file}`,
  'image.zst': ({ source }: Setting, file: string) => `zstd -q -f -3 -T0 <${source} >${file}`,
  'partclone.zst': ({ sourcePartition, folder }: Setting, file: string) =>
    `partclone.ext4 -c -s ${sourcePartition} -o - -L ${join(folder, 'partclone.log')} ` +
    `| zstd -q -f -3 -T0 >${file}`,
} as const

export type PeerFile = keyof typeof PEER_FILES

/** Ends when the file is on the medium, as a capture of ours does. */
export function peerCommand(setting: Setting, file: PeerFile): string {
  const path = join(setting.peerFolder, file)
  return `${PEER_FILES[file](setting, path)}; sync ${path}`
}

/** Made once, by whichever section needs it first. */
export async function needPeerFile(setting: Setting, file: PeerFile): Promise<string> {
  const path = join(setting.peerFolder, file)
  const isThere = await stat(path).then(
    ({ size }) => size > 0,
    () => false,
  )
  if (!isThere) {
    console.error(`Making ${file}`)
    await timePipeline({ command: peerCommand(setting, file) })
  }
  return path
}
