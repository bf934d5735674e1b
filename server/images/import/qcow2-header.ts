import { ImageRefusedError } from './import-error.ts'

/**
 * The header of a qcow2 file, as QEMU's docs/interop/qcow2.txt lays it out. Whoever uploads such a
 * file could make QEMU open any other file of this machine, so we look before QEMU does.
 */
export type Qcow2Header = { version: number; virtualBytes: number }

/** The header with its extensions must lie in the first cluster, the smallest of which is this. */
export const QCOW2_HEADER_BYTES = 65_536

const MAGIC = 0x514649fb
const V2_HEADER_BYTES = 72
const V3_HEADER_BYTES = 104

/** Features without which a file cannot be read. We know these, and they are harmless to a reader. */
const KNOWN_FEATURES = {
  dirty: 1n << 0n,
  compressionType: 1n << 3n,
  extendedL2: 1n << 4n,
} as const
const CORRUPT_FEATURE = 1n << 1n
const EXTERNAL_DATA_FEATURE = 1n << 2n

const EXTENSION = {
  end: 0,
  encryptionHeader: 0x0537be77,
  externalDataFile: 0x44415441,
} as const

/** Throws ImageRefusedError unless the file stands alone and uses nothing unknown. */
export function checkQcow2Header(head: Uint8Array, maxVirtualBytes: number): Qcow2Header {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (head.length < V2_HEADER_BYTES || view.getUint32(0) !== MAGIC)
    throw refused('its header is cut short')
  const version = view.getUint32(4)
  if (version !== 2 && version !== 3) throw refused(`its version is ${version}, not 2 or 3`)
  if (version === 3 && head.length < V3_HEADER_BYTES) throw refused('its header is cut short')

  if (view.getBigUint64(8) !== 0n || view.getUint32(16) !== 0)
    throw refused('it has a backing file; flatten it with "qemu-img convert -O qcow2"')
  if (view.getUint32(32) !== 0) throw refused('it is encrypted; decrypt it with qemu-img')
  const clusterBits = view.getUint32(20)
  if (clusterBits < 9 || clusterBits > 21)
    throw refused(`its clusters of 2^${clusterBits} bytes are not within 512 bytes and 2 MiB`)
  if (version === 3) checkFeatures(view.getBigUint64(72))
  checkExtensions(view, version === 3 ? view.getUint32(100) : V2_HEADER_BYTES)

  const virtualBytes = view.getBigUint64(24)
  if (virtualBytes > BigInt(maxVirtualBytes))
    throw new ImageRefusedError(
      'image-too-large',
      `The disk in the qcow2 file has ${virtualBytes} bytes, but this server takes images of ` +
        `${maxVirtualBytes} bytes at most; raise STAMPEDE_MAX_IMAGE_BYTES`,
    )
  return { version, virtualBytes: Number(virtualBytes) }
}

function checkFeatures(features: bigint): void {
  if (features & EXTERNAL_DATA_FEATURE)
    throw refused('its data lie in another file; convert it with "qemu-img convert -O qcow2"')
  if (features & CORRUPT_FEATURE) throw refused('it is marked as corrupt; repair it with qemu-img')
  const known = KNOWN_FEATURES.dirty | KNOWN_FEATURES.compressionType | KNOWN_FEATURES.extendedL2
  if (features & ~known)
    throw refused(`it needs features that are unknown here (0x${(features & ~known).toString(16)})`)
}

function checkExtensions(view: DataView, start: number): void {
  let offset = start
  if (start < V2_HEADER_BYTES || start % 8 !== 0) throw refused(`its header claims ${start} bytes`)
  while (offset + 8 <= view.byteLength) {
    const type = view.getUint32(offset)
    if (type === EXTENSION.end) return
    if (type === EXTENSION.externalDataFile) throw refused('it names an external data file')
    if (type === EXTENSION.encryptionHeader) throw refused('it is encrypted with LUKS')
    // Each is padded to a multiple of eight bytes.
    offset += 8 + Math.ceil(view.getUint32(offset + 4) / 8) * 8
  }
  throw refused('its header extensions have no end')
}

function refused(reason: string): ImageRefusedError {
  return new ImageRefusedError('refused-qcow2', `The qcow2 file is refused: ${reason}`)
}
