import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import type { Machine, MachinePatch, MachinePut, MachinesPatch } from '#protocol/machine/machine.ts'
import type { Examples } from '../openapi/add-examples.ts'
import {
  AT,
  DIGEST,
  DISK_BYTES,
  FINGERPRINT,
  IMAGE_NAME,
  LATER,
  listWith,
  MAC,
  OTHER_MAC,
} from './values.ts'

const disk: Disk = {
  path: '/dev/nvme0n1',
  model: 'Samsung SSD 980',
  serial: 'S64DNL0T123456X',
  sizeBytes: DISK_BYTES,
  sectorBytes: 512,
  rotational: false,
  removable: false,
  readOnly: false,
  transport: 'nvme',
  partitionTable: { type: 'gpt', uuid: '5c6d9b8e-0d1f-4f0e-8a37-1f3c2a9b7d10' },
  partitions: [
    {
      number: 1,
      path: '/dev/nvme0n1p1',
      startBytes: 1_048_576,
      sizeBytes: 536_870_912,
      type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
      fileSystem: { type: 'vfat', label: 'EFI' },
    },
  ],
  fingerprint: FINGERPRINT,
}

export const INVENTORY: Inventory = {
  at: AT,
  agentVersion: '0.1.0',
  firmware: 'uefi',
  secureBoot: false,
  architecture: 'x86_64',
  smbios: { manufacturer: 'Dell Inc.', product: 'PowerEdge R650', serial: '7GK2XX3' },
  cpu: { model: 'Intel(R) Xeon(R) Silver 4314', sockets: 2, cores: 32, threads: 64 },
  memoryBytes: 137_438_953_472,
  disks: [disk],
  nics: [{ name: 'eno1', mac: MAC, link: true, speedMbps: 10_000, addresses: ['192.0.2.20/24'] }],
}

const line: Machine = {
  mac: MAC,
  macs: [MAC, '52:54:00:12:34:57'],
  name: 'rack3-node7',
  hostname: 'node7.example.com',
  image: IMAGE_NAME,
  locked: false,
  tags: ['rack3', 'web'],
  disk: { serial: 'S64DNL0T123456X' },
  network: { address: '192.0.2.20/24', gateway: '192.0.2.1', nameservers: ['192.0.2.1'] },
  manufacturer: 'Dell Inc.',
  product: 'PowerEdge R650',
  serial: '7GK2XX3',
  state: 'deployed',
  lastSeenAt: LATER,
  boot: {
    stages: [
      { stage: 'dhcp', at: AT, detail: 'UEFI x64' },
      { stage: 'loader', at: AT, detail: 'ipxe.efi' },
      { stage: 'ipxe', at: AT },
      { stage: 'script', at: AT, detail: 'local disk' },
    ],
    endsAtScript: true,
  },
  imageDigest: DIGEST,
}
const machine: Machine = { ...line, inventory: INVENTORY }

const put: MachinePut = {
  name: 'rack3-node7',
  hostname: 'node7.example.com',
  image: IMAGE_NAME,
  tags: ['rack3', 'web'],
}
const patch: MachinePatch = { image: IMAGE_NAME, network: null }
const patchMany: MachinesPatch = {
  macs: [MAC, OTHER_MAC],
  set: { image: IMAGE_NAME, addTags: ['rack3'] },
}
const unknown = {
  mac: OTHER_MAC,
  error: { code: 'not-found', message: `There is no machine with MAC ${OTHER_MAC}` },
}

const SCRIPT = `#!ipxe
kernel http://192.0.2.1:8080/boot/kernel initrd=initrd stampede.url=http://192.0.2.1:8080 stampede.mac=${MAC} stampede.token=<token>
initrd --name initrd http://192.0.2.1:8080/boot/initrd
boot
`

export const MACHINE_EXAMPLES: Examples = {
  'GET /api/machines': { answers: { 200: { items: [line], next: MAC } } },
  'PATCH /api/machines': {
    body: patchMany,
    answers: { 200: { items: [line], refused: [unknown] } },
  },
  'POST /api/machines/delete': {
    body: { macs: [MAC, OTHER_MAC] },
    answers: { 200: { deleted: [MAC], refused: [unknown] } },
  },
  'GET /api/machines/{mac}': { answers: { 200: machine } },
  'PUT /api/machines/{mac}': { body: put, answers: { 200: machine } },
  'PATCH /api/machines/{mac}': { body: patch, answers: { 200: machine } },
  'GET /api/machines/{mac}/script': { answers: { 200: SCRIPT } },
  'GET /boot/{script}': { answers: { 200: SCRIPT.replace('<token>', '9vZ…') } },
  'GET /api/leases': {
    answers: {
      200: listWith({
        mac: MAC,
        address: '192.0.2.20',
        state: 'bound',
        hostname: 'node7',
        expiresAt: LATER,
      }),
    },
  },
}
