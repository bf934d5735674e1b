import type { Device } from './device.ts'

/** What a disk says of a place that it can't read; writing it often mends it. */
const UNREADABLE_CODES = new Set(['EIO', 'ENODATA', 'EILSEQ', 'EREMOTEIO'])

/** Fills `buffer`; false where the disk can't read, for whoever would write there anyway. */
export async function tryRead(device: Device, buffer: Buffer, start: number): Promise<boolean> {
  try {
    await device.read(buffer, start)
    return true
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    if (code !== undefined && UNREADABLE_CODES.has(code)) return false
    throw err
  }
}
