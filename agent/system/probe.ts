import type { Exec } from '../exec.ts'

/** What blkid finds in a partition or volume. */
export type Content = {
  /** `ext4`, `xfs`, `LVM2_member`, `crypto_LUKS`, … */
  type: string
  uuid?: string
  label?: string
  partUuid?: string
  /** There is a partition table, too: `gpt`, `dos`. */
  tableType?: string
}

/** blkid: nothing was found. */
const EXIT_NOTHING = 2
/** More than one thing was found. */
const EXIT_AMBIVALENT = 8

/** Low-level probing: no cache, and no device is looked at but this one. */
export async function findContent(exec: Exec, path: string): Promise<Content | undefined> {
  const { stdout, exitCode } = await exec('blkid', ['-p', '-o', 'export', '--', path], {
    allowExitCodes: [EXIT_NOTHING],
  })
  return exitCode === EXIT_NOTHING ? undefined : parseBlkidExport(stdout)
}

/** The RAID that a disk as a whole is a member of, as blkid calls it, whatever else is on it. */
export async function findRaidMember(exec: Exec, path: string): Promise<string | undefined> {
  const args = ['-p', '-u', 'raid', '-o', 'export', '--', path]
  const { stdout } = await exec('blkid', args, { allowExitCodes: [EXIT_NOTHING, EXIT_AMBIVALENT] })
  const type = parseBlkidExport(stdout)?.type
  return type?.endsWith('_raid_member') ? type : undefined
}

export function parseBlkidExport(text: string): Content | undefined {
  const pairs = text.split('\n').map((line): [string, string] => {
    const at = line.indexOf('=')
    return [line.slice(0, at), line.slice(at + 1).replaceAll(/\\(.)/g, '$1')]
  })
  const { TYPE, UUID, LABEL, PART_ENTRY_UUID, PTTYPE } = Object.fromEntries(pairs)
  if (!TYPE) return undefined
  return {
    type: TYPE,
    ...(UUID && { uuid: UUID }),
    ...(LABEL && { label: LABEL }),
    ...(PART_ENTRY_UUID && { partUuid: PART_ENTRY_UUID }),
    ...(PTTYPE && { tableType: PTTYPE }),
  }
}
