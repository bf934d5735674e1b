import type { Exec } from '../../exec.ts'
import { omitFile, readHead, withoutOmitted, type FilePiece } from '../page-files.ts'
import { mapUsed } from '../partclone.ts'
import type { RegionView, Surveyor } from '../region.ts'
import { RESTART_BYTES, isCleanLog } from './ntfs-log.ts'

/** What Windows sets up anew when it starts, by its name in the root folder. */
const PAGE_FILES: Record<string, string> = {
  'pagefile.sys': 'page file',
  'swapfile.sys': 'page file',
  'hiberfil.sys': 'hibernation file',
}
/**
 * Windows looks at the beginning of each for a crash dump or a sleeping system. It stays, so that
 * it does not find what the target disk happened to hold there.
 */
const KEPT_BYTES = 65_536
const LOG_INODE = 2
/** VOLUME_IS_DIRTY and VOLUME_CHKDSK_UNDERWAY of ntfs-3g's layout.h; Windows sets others at ease. */
const NOT_IN_ORDER = 0x4001

export const surveyNtfs: Surveyor = async (context, view) => {
  const { exec } = context
  // Without -f it says nothing of a volume that is not in order.
  const facts = parseNtfsInfo((await exec('ntfsinfo', ['-f', '-m', view.path])).stdout)
  if ((facts.flags & NOT_IN_ORDER) !== 0) return { kind: 'whole', reason: 'it is marked dirty' }
  const log = await findPieces(exec, view, ['-I', String(LOG_INODE)], facts.clusterBytes)
  if (!isCleanLog(await readHead(view, log, RESTART_BYTES)))
    return { kind: 'whole', reason: 'its log has not been replayed' }

  const omitted = []
  for (const name of await listRoot(exec, view)) {
    const what = PAGE_FILES[name.toLowerCase()]
    if (what === undefined) continue
    const pieces = await findPieces(exec, view, ['-F', `/${name}`], facts.clusterBytes)
    if (/^hiberfil/i.test(name) && (await isHibernated(view, pieces)))
      return { kind: 'whole', reason: 'Windows is hibernated there; shut it down fully first' }
    omitted.push(omitFile(`${what} /${name}`, pieces, KEPT_BYTES))
  }
  const used = await mapUsed(context, 'ntfs', view)
  return withoutOmitted(
    used,
    omitted.filter(({ leftOut }) => leftOut.bytes > 0),
  )
}

function parseNtfsInfo(text: string): { flags: number; clusterBytes: number } {
  const flags = /Volume Flags:\s+0x([0-9a-f]+)/i.exec(text)?.[1]
  const clusterBytes = Number(/Cluster Size:\s+(\d+)/.exec(text)?.[1])
  if (flags === undefined || !(clusterBytes > 0)) throw new Error('ntfsinfo is not understood')
  return { flags: Number.parseInt(flags, 16), clusterBytes }
}

async function listRoot(exec: Exec, view: RegionView): Promise<string[]> {
  return (await exec('ntfsls', ['-a', view.path])).stdout.split('\n')
}

async function findPieces(exec: Exec, view: RegionView, file: string[], clusterBytes: number) {
  const { stdout } = await exec('ntfscluster', [...file, view.path])
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

/** As ntfs-3g decides before it mounts. */
async function isHibernated(view: RegionView, pieces: readonly FilePiece[]): Promise<boolean> {
  const head = await readHead(view, pieces, 512)
  return /^hibr/i.test(head.toString('latin1', 0, 4))
}
