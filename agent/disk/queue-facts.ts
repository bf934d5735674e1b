import { readFile, realpath } from 'node:fs/promises'
import { basename } from 'node:path'

/**
 * Drivers of disks that read the same again where they were discarded: NVMe (base specification 1.4,
 * 6.7.1.1: deterministic until the next write), loop (a hole of a file) and virtio (a hole again).
 * Of SATA and USB disks only some do, and the kernel does not say which.
 */
const STEADY_DISKS = /^(nvme|loop|vd)/

/**
 * Whether zeros that were read once may be left as they are. Where a disk discards, what it reads
 * there afterwards may be zeros now and something else later.
 */
export async function keepsZeros(path: string): Promise<boolean> {
  const name = basename(await realpath(path))
  if (STEADY_DISKS.test(name)) return true
  try {
    const text = await readFile(`/sys/class/block/${name}/queue/discard_max_bytes`, 'latin1')
    return Number(text) === 0
  } catch {
    return false // a partition, or an unusual kernel: the slower way is always right
  }
}
