/** The restart pages of an NTFS log, as ntfs-3g's logfile.h describes them. */

/** Two pages, one of which may be torn. */
const PAGE_BYTES = 4096
export const RESTART_BYTES = 2 * PAGE_BYTES

const RESTART_OFFSET_AT = 0x18
/** In the restart area. */
const AT = { currentLsn: 0, clientInUseList: 12, flags: 14 } as const
const NO_CLIENT = 0xffff
const VOLUME_IS_CLEAN = 0x0002

/** Whether nothing waits to be replayed. A log that was never written is filled with 0xff. */
export function isCleanLog(head: Buffer): boolean {
  if (head.length >= 16 && head.subarray(0, 16).every((byte) => byte === 0xff)) return true
  const areas = [0, PAGE_BYTES]
    .map((at) => restartArea(head, at))
    .filter((area) => area !== undefined)
  const newest = areas.toSorted((a, b) => (a.lsn < b.lsn ? 1 : -1))[0]
  return newest !== undefined && (newest.isUnused || newest.isClean)
}

function restartArea(head: Buffer, page: number) {
  if (head.length < page + PAGE_BYTES) return undefined
  if (head.toString('latin1', page, page + 4) !== 'RSTR') return undefined
  const area = page + head.readUInt16LE(page + RESTART_OFFSET_AT)
  if (area + AT.flags + 2 > page + PAGE_BYTES) return undefined
  return {
    lsn: head.readBigUInt64LE(area + AT.currentLsn),
    isUnused: head.readUInt16LE(area + AT.clientInUseList) === NO_CLIENT,
    isClean: (head.readUInt16LE(area + AT.flags) & VOLUME_IS_CLEAN) !== 0,
  }
}
