import { skippableLength } from '../codec/plain-frame.ts'

/** What an upload is, by its first bytes; never by its name or Content-Type. */
export type UploadFormat = 'raw' | 'gzip' | 'xz' | 'zstd' | 'bzip2' | 'qcow2'

/** Enough to tell every format below. */
export const FORMAT_BYTES = 512

const MAGIC: { at?: number; magic: string; format: UploadFormat }[] = [
  { magic: '\x1f\x8b', format: 'gzip' },
  { magic: '\xfd7zXZ\x00', format: 'xz' },
  { magic: '\x28\xb5\x2f\xfd', format: 'zstd' },
  // A skippable frame, RFC 8878 section 3.1.2: our exports begin with one, and those of pzstd.
  { at: 1, magic: '\x2a\x4d\x18', format: 'zstd' },
  { magic: 'BZh', format: 'bzip2' },
  { magic: 'QFI\xfb', format: 'qcow2' },
]

/** Containers that would otherwise be stored as if they were the disk, to fail on every machine. */
const UNSUPPORTED: { at?: number; magic: string; name: string }[] = [
  { magic: 'KDMV', name: 'a VMDK' },
  { magic: 'vhdxfile', name: 'a VHDX' },
  { magic: 'conectix', name: 'a VHD' },
  { magic: '<<< Oracle VM VirtualBox Disk Image', name: 'a VDI' },
  { magic: 'PK\x03\x04', name: 'a ZIP archive' },
  { magic: '7z\xbc\xaf\x27\x1c', name: 'a 7z archive' },
  { at: 257, magic: 'ustar', name: 'a tar archive' },
]

export function uploadFormat(head: Uint8Array): UploadFormat {
  const format = MAGIC.find((entry) => matches(head, entry))?.format ?? 'raw'
  return format === 'zstd' && !isZstdFile(head) ? 'raw' : format
}

function isZstdFile(head: Uint8Array): boolean {
  return head[0] === 0x28 || skippableLength(head) !== undefined
}

/** Name of a container that we cannot read, such as `a VMDK`. */
export function unsupportedContainer(head: Uint8Array): string | undefined {
  return UNSUPPORTED.find((entry) => matches(head, entry))?.name
}

function matches(head: Uint8Array, { at = 0, magic }: { at?: number; magic: string }): boolean {
  return Buffer.from(head).toString('latin1', at, at + magic.length) === magic
}
