import { describe } from 'node:test'
import { NEEDS_ROOT } from '#test/server/dhcp/dhcp-lab.ts'
import { type FirmwareCase, testFirmwareBoot } from '#test/support/firmware-boot.ts'

const CASES: FirmwareCase[] = [
  { firmware: 'bios', mode: 'server', stages: ['ipxe'] },
  { firmware: 'bios', mode: 'proxy', stages: ['ipxe'] },
  { firmware: 'uefi', romFile: '', mode: 'server', stages: ['efi-x64', 'ipxe'] },
  { firmware: 'uefi', romFile: '', mode: 'proxy', stages: ['efi-x64', 'ipxe'] },
]

describe('real firmware', { skip: NEEDS_ROOT }, () => {
  for (const way of CASES) testFirmwareBoot(way)
})
