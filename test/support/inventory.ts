import type { Disk, Inventory } from '#protocol/machine/inventory.ts'

/** What an agent might tell of a small BIOS machine with one disk. */
export function createInventory(changes: Partial<Inventory> = {}): Inventory {
  return {
    at: '2026-05-01T12:00:00.000Z',
    agentVersion: '0.1.0',
    firmware: 'bios',
    architecture: 'x86_64',
    smbios: { uuid: '4c4c4544-0042-4710-8058-b4c04f4a5931', serial: 'BGXJY1' },
    cpu: { sockets: 1, cores: 2, threads: 2 },
    memoryBytes: 1_073_741_824,
    disks: [createDisk()],
    nics: [],
    ...changes,
  }
}

/** A blank virtio disk. */
export function createDisk(changes: Partial<Disk> = {}): Disk {
  return {
    path: '/dev/vda',
    serial: 'disk-1',
    sizeBytes: 21_474_836_480,
    sectorBytes: 512,
    rotational: false,
    removable: false,
    readOnly: false,
    partitionTable: { type: 'none' },
    partitions: [],
    fingerprint: '0'.repeat(64),
    ...changes,
  }
}
