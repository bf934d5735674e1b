import { describe } from 'node:test'
import { NEEDS_ROOT } from '#test/server/dhcp/dhcp-lab.ts'
import { testFirmwareBoot } from '#test/support/firmware-boot.ts'

// UEFI tries PXE over IPv4 and IPv6 first, which takes two minutes.
describe('UEFI HTTP boot', { skip: NEEDS_ROOT }, () => {
  testFirmwareBoot({
    firmware: 'uefi',
    romFile: '',
    mode: 'server',
    stages: ['efi-x64', 'efi-x64-http', 'ipxe'],
    without: 'efi-x64',
  })
})
