import { open } from 'node:fs/promises'

/** UEFI 2.10, section 5.2: four partition records of 16 bytes, of which the first byte is the flag. */
const RECORDS_AT = 446
const RECORD_BYTES = 16
const RECORDS = 4
const SECTOR_BYTES = 512

/**
 * Some firmwares of the BIOS kind start a disk only if a record of its MBR is flagged as active,
 * the protective one of a GPT included. sfdisk clears that flag whenever it writes a GPT.
 */
export async function keepBootFlags<T>(diskPath: string, work: () => Promise<T>): Promise<T> {
  const before = await readFlags(diskPath)
  try {
    return await work()
  } finally {
    await writeFlags(diskPath, before)
  }
}

async function readFlags(diskPath: string): Promise<number[]> {
  await using disk = await open(diskPath, 'r')
  return flagsOf(await readSector(disk))
}

async function writeFlags(diskPath: string, flags: readonly number[]): Promise<void> {
  await using disk = await open(diskPath, 'r+')
  const sector = await readSector(disk)
  if (flagsOf(sector).every((flag, at) => flag === flags[at])) return
  for (const [at, flag] of flags.entries()) sector[flagAt(at)] = flag
  await disk.write(sector, 0, SECTOR_BYTES, 0)
  await disk.sync()
}

async function readSector(disk: Awaited<ReturnType<typeof open>>): Promise<Buffer> {
  const sector = Buffer.alloc(SECTOR_BYTES)
  await disk.read(sector, 0, SECTOR_BYTES, 0)
  return sector
}

function flagsOf(sector: Buffer): number[] {
  return Array.from({ length: RECORDS }, (_, at) => sector[flagAt(at)]!)
}

function flagAt(record: number): number {
  return RECORDS_AT + record * RECORD_BYTES
}
