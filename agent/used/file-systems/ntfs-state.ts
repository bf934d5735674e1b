import type { Exec } from '../../exec.ts'
import { readHead, type FilePiece } from '../page-files.ts'
import type { RegionView } from '../region.ts'
import { RESTART_BYTES, isCleanLog } from './ntfs-log.ts'

/** An NTFS as ntfs-3g's tools tell of it; none of them mounts it, and none writes. */

export type NtfsView = Pick<RegionView, 'path' | 'peek'>

export type NtfsFacts = { flags: number; clusterBytes: number; sizeBytes: number }

const LOG_INODE = 2
/** VOLUME_IS_DIRTY and VOLUME_CHKDSK_UNDERWAY of ntfs-3g's layout.h; Windows sets others at ease. */
const NOT_IN_ORDER = 0x4001

export async function readNtfs(exec: Exec, path: string): Promise<NtfsFacts> {
  // Without -f it says nothing of a volume that is not in order.
  return parseNtfsInfo((await exec('ntfsinfo', ['-f', '-m', path])).stdout)
}

function parseNtfsInfo(text: string): NtfsFacts {
  const flags = /Volume Flags:\s+0x([0-9a-f]+)/i.exec(text)?.[1]
  const clusterBytes = Number(/Cluster Size:\s+(\d+)/.exec(text)?.[1])
  const clusters = Number(/Volume Size in Clusters:\s+(\d+)/.exec(text)?.[1])
  if (flags === undefined || !(clusterBytes > 0) || !(clusters > 0))
    throw new Error('ntfsinfo is not understood')
  return { flags: Number.parseInt(flags, 16), clusterBytes, sizeBytes: clusters * clusterBytes }
}

/** Names in the root folder. */
export async function listNtfsRoot(exec: Exec, path: string): Promise<string[]> {
  return (await exec('ntfsls', ['-a', path])).stdout.split('\n')
}

/** Where a file lies: `['-F', '/pagefile.sys']`, or `['-I', '2']` by its inode. */
export async function findNtfsFile(
  exec: Exec,
  path: string,
  file: readonly string[],
  { clusterBytes }: NtfsFacts,
): Promise<FilePiece[]> {
  const { stdout } = await exec('ntfscluster', [...file, path])
  return parseNtfsCluster(stdout, clusterBytes)
}

/** The runs of the unnamed data attribute (0x80): file cluster, volume cluster, number. */
export function parseNtfsCluster(text: string, clusterBytes: number): FilePiece[] {
  const data = /^\s*0x80 - non-resident\n\s*VCN\s+LCN\s+Length\n((?:[\s\d-]+\n)*)/m.exec(text)?.[1]
  return [...(data ?? '').matchAll(/^\s*(\d+)\s+(\d+)\s+(\d+)\s*$/gm)].map((match) => {
    const [at, start, count] = match.slice(1).map((number) => Number(number) * clusterBytes)
    return { at: at!, start: start!, bytes: count! }
  })
}

/** Why its free space, or its end, is not for others to judge; undefined: it was let go in order. */
export async function whyNotAtRest(
  exec: Exec,
  view: NtfsView,
  facts: NtfsFacts,
): Promise<string | undefined> {
  if ((facts.flags & NOT_IN_ORDER) !== 0) return 'it is marked dirty'
  const log = await findNtfsFile(exec, view.path, ['-I', String(LOG_INODE)], facts)
  if (!isCleanLog(await readHead(view, log, RESTART_BYTES))) return 'its log has not been replayed'
  for (const name of await listNtfsRoot(exec, view.path)) {
    if (name.toLowerCase() !== 'hiberfil.sys') continue
    const pieces = await findNtfsFile(exec, view.path, ['-F', `/${name}`], facts)
    // As ntfs-3g decides before it mounts.
    const head = await readHead(view, pieces, 512)
    if (/^hibr/i.test(head.toString('latin1', 0, 4)))
      return 'Windows is hibernated there; shut it down fully first'
  }
  return undefined
}
