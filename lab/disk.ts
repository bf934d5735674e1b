import { truncate, writeFile } from 'node:fs/promises'
import { run } from './command.ts'

export type DiskBus = 'virtio' | 'sata' | 'nvme' | 'scsi'

export type Disk = {
  file: string
  format: 'raw' | 'qcow2'
  bus: DiskBus
  serial: string
  /** Logical sector size; 512 unless told. SATA knows no other in QEMU. */
  sectorBytes?: number
}

/** A blank disk: a sparse raw file, so that it can be compared byte by byte. */
export async function createBlankDisk(
  disk: Omit<Disk, 'format'> & { sizeBytes: number },
): Promise<Disk> {
  const { sizeBytes, ...rest } = disk
  await writeFile(disk.file, '', { flag: 'wx' })
  await truncate(disk.file, sizeBytes)
  return { ...rest, format: 'raw' }
}

/** A disk that starts as a copy of `base` and keeps its own changes; `base` stays as it is. */
export async function createOverlayDisk(
  disk: Omit<Disk, 'format'> & { base: string },
): Promise<Disk> {
  const { base, ...rest } = disk
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', base, disk.file])
  return { ...rest, format: 'qcow2' }
}

/** QEMU's options for a machine's disks, in boot order from `firstBootIndex`. */
export function diskArguments(disks: Disk[], firstBootIndex: number): string[] {
  const controllers = disks.some(({ bus }) => bus === 'scsi')
    ? ['-device', 'virtio-scsi-pci,id=scsi']
    : []
  let sataPort = 0
  const devices = disks.flatMap(({ file, format, bus, serial, sectorBytes }, index) => {
    const drive = `if=none,id=disk${index},file=${file.replaceAll(',', ',,')},format=${format}`
    const cache = 'cache=unsafe,discard=unmap,detect-zeroes=unmap' // the disk need not outlive a crash
    const place = bus === 'sata' ? `,bus=ide.${sataPort++}` : bus === 'scsi' ? ',bus=scsi.0' : ''
    const sector = sectorBytes ? `,logical_block_size=${sectorBytes}` : ''
    const common = `drive=disk${index},serial=${serial},bootindex=${firstBootIndex + index}`
    return [
      ['-drive', `${drive},${cache}`],
      ['-device', `${DEVICES[bus]},${common}${place}${sector}`],
    ].flat()
  })
  return [...controllers, ...devices]
}

const DEVICES: Record<DiskBus, string> = {
  virtio: 'virtio-blk-pci',
  sata: 'ide-hd',
  nvme: 'nvme',
  scsi: 'scsi-hd',
}
