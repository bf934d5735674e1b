import { open } from 'node:fs/promises'
import type { ImagePartition } from '#protocol/image/image-info.ts'
import type { FileSystem, Partition } from '#protocol/machine/inventory.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { GptDecodeError, decodeGpt } from '#protocol/disk/gpt.ts'
import { parsePartitionTable } from '#protocol/disk/partition-table.ts'
import { sha256 } from '../chunks/content.ts'
import { dropFileCache } from '../disk/system-calls.ts'
import { ExecError, type Exec } from '../exec.ts'
import { partitionPath } from '../steps/step.ts'
import { parseBlkidExport } from '../system/probe.ts'

export interface DiskLayout {
  partitionTable: { type: 'gpt' | 'mbr' | 'none'; uuid?: string }
  partitions: Partition[]
  fileSystem?: FileSystem
  /** Why there is no more than that to tell. */
  layoutError?: string
}

/** A partition that the kernel knows, from sysfs. */
export interface KernelPartition {
  number: number
  startBytes: number
  sizeBytes: number
}

const BLKID_SECONDS = 30
/** blkid(8): nothing was found, or more than one thing. */
const BLKID_NOTHING = 2
const BLKID_AMBIVALENT = 8
const MBR_DISK_ID_AT = 440

/**
 * What is on a disk, from its own bytes: the device is opened for reading only, and neither
 * partition nodes nor a running udev are needed.
 */
export async function readLayout(
  exec: Exec,
  path: string,
  sectorBytes: number,
  known: readonly KernelPartition[],
): Promise<DiskLayout> {
  const head = await readHead(path)
  const table = parseTable(head, sectorBytes)
  const listed = new Set(table.partitions.map(({ number }) => number))
  // Logical partitions lie beyond the head; the kernel has found them.
  const logical = known.filter(({ number }) => table.type !== 'none' && !listed.has(number))
  const partitions: Partition[] = []
  for (const entry of [...table.partitions, ...logical]) {
    const fileSystem = await probe(exec, path, entry)
    partitions.push({
      ...entry,
      path: partitionPath(path, entry.number),
      ...(fileSystem && { fileSystem }),
    })
  }
  const whole = table.type === 'none' ? await probe(exec, path) : undefined
  return {
    partitionTable: { type: table.type, ...(table.uuid !== undefined && { uuid: table.uuid }) },
    partitions: partitions.toSorted((a, b) => a.number - b.number),
    ...(whole && { fileSystem: whole }),
    ...(table.error !== undefined && { layoutError: table.error }),
  }
}

/**
 * From the medium, as what is read after it is. A disk and its partitions have page caches of their own: what was
 * written through a partition is not seen through the disk, as long as something holds the disk open that looked there
 * before.
 */
async function readHead(path: string): Promise<Buffer> {
  await using file = await open(path, 'r')
  dropFileCache(file.fd)
  const head = Buffer.alloc(CHUNK_BYTES)
  const { bytesRead } = await file.read(head, 0, head.length, 0)
  return head.subarray(0, bytesRead)
}

interface Table {
  type: 'gpt' | 'mbr' | 'none'
  uuid?: string
  partitions: Omit<Partition, 'path'>[]
  error?: string
}

function parseTable(head: Buffer, sectorBytes: number): Table {
  try {
    const { kind, partitions } = parsePartitionTable(head, sectorBytes)
    if (kind === 'none') return { type: 'none', partitions: [] }
    return {
      type: kind,
      uuid: tableUuid(kind, head, sectorBytes),
      partitions: partitions.map(pick),
    }
  } catch (err) {
    // A damaged table is none: the kernel, too, may see no partitions there.
    if (err instanceof GptDecodeError)
      return {
        type: 'none',
        partitions: [],
        error: `its partition table is damaged: ${err.message}`,
      }
    throw err
  }
}

function pick({ number, startBytes, sizeBytes, type, uuid, name }: ImagePartition) {
  return {
    number,
    startBytes,
    sizeBytes,
    type,
    ...(uuid !== undefined && { uuid }),
    ...(name !== undefined && { name }),
  }
}

function tableUuid(kind: 'gpt' | 'mbr', head: Buffer, sectorBytes: number): string {
  if (kind === 'gpt') return decodeGpt(head, sectorBytes).diskUuid
  return head.readUInt32LE(MBR_DISK_ID_AT).toString(16).padStart(8, '0')
}

async function probe(
  exec: Exec,
  path: string,
  range?: { startBytes: number; sizeBytes: number },
): Promise<FileSystem | undefined> {
  const place = range ? ['-O', String(range.startBytes), '-S', String(range.sizeBytes)] : []
  try {
    const { stdout } = await exec('blkid', ['-p', '-o', 'export', ...place, '--', path], {
      timeoutSeconds: BLKID_SECONDS,
      allowExitCodes: [BLKID_NOTHING, BLKID_AMBIVALENT],
    })
    const found = parseBlkidExport(stdout)
    if (!found) return undefined
    const { type, uuid, label } = found
    return { type, ...(uuid !== undefined && { uuid }), ...(label !== undefined && { label }) }
  } catch (err) {
    // An inventory without file systems is better than none.
    if (err instanceof ExecError) return undefined
    throw err
  }
}

/** Equal for equal layouts, whatever the disk, its name and its size. */
export function layoutFingerprint(layout: DiskLayout): string {
  const { partitionTable, partitions, fileSystem } = layout
  const facts = [
    partitionTable.type,
    partitionTable.uuid ?? null,
    partitions.map((partition) => [
      partition.number,
      partition.startBytes,
      partition.sizeBytes,
      partition.type ?? null,
      partition.uuid ?? null,
      fileSystemFacts(partition.fileSystem),
    ]),
    fileSystemFacts(fileSystem),
  ]
  return sha256(Buffer.from(JSON.stringify(facts)))
}

function fileSystemFacts(found: FileSystem | undefined) {
  return found ? [found.type, found.uuid ?? null, found.label ?? null] : null
}
