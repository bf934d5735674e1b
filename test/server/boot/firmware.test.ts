import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BootClient, identifyFirmware } from '#server/boot/firmware.ts'

const PXE = 'PXEClient:Arch:00000:UNDI:002001'
const HTTP = 'HTTPClient:Arch:00016:UNDI:003001'

const client = (part: Partial<BootClient>): BootClient => ({
  architectures: [],
  userClasses: [],
  vendorClass: PXE,
  hasIpxeOptions: false,
  ...part,
})

const known: [what: string, client: Partial<BootClient>, firmware: string][] = [
  ['a BIOS', { architectures: [0] }, 'bios'],
  ['a ROM older than option 93', {}, 'bios'],
  ['32-bit UEFI', { architectures: [6] }, 'efi-x86'],
  ['x64 UEFI', { architectures: [7] }, 'efi-x64'],
  ['x64 UEFI that says EBC', { architectures: [9] }, 'efi-x64'],
  ['arm64 UEFI', { architectures: [11] }, 'efi-arm64'],
  ['32-bit UEFI HTTP boot', { architectures: [15], vendorClass: HTTP }, 'efi-x86-http'],
  ['x64 UEFI HTTP boot', { architectures: [16], vendorClass: HTTP }, 'efi-x64-http'],
  ['x64 UEFI HTTP boot that says EBC', { architectures: [17], vendorClass: HTTP }, 'efi-x64-http'],
  ['arm64 UEFI HTTP boot', { architectures: [19], vendorClass: HTTP }, 'efi-arm64-http'],
  ['firmware whose first choice is unknown', { architectures: [99, 7] }, 'efi-x64'],
  ['iPXE on a BIOS', { architectures: [0], userClasses: ['iPXE'] }, 'ipxe'],
  ['iPXE on UEFI', { architectures: [7], userClasses: ['iPXE'] }, 'ipxe'],
  ['iPXE among other classes', { architectures: [7], userClasses: ['lab', 'iPXE'] }, 'ipxe'],
  ['iPXE known by its options alone', { architectures: [7], hasIpxeOptions: true }, 'ipxe'],
  ['iPXE without a vendor class', { vendorClass: undefined, userClasses: ['iPXE'] }, 'ipxe'],
]

describe('identifyFirmware', () => {
  for (const [what, part, firmware] of known)
    it(`knows ${what}`, () => {
      assert.deepEqual(identifyFirmware(client(part)), { kind: 'known', firmware })
    })

  it('says so when it has never heard of an architecture', () => {
    for (const [architectures, vendorClass] of [
      [[10], PXE],
      [[99], PXE],
      [[16], PXE], // HTTP architectures come with HTTPClient only
      [[7], HTTP],
      [[], HTTP],
    ] as const)
      assert.deepEqual(
        identifyFirmware(client({ architectures: [...architectures], vendorClass })),
        {
          kind: 'unknown',
          architectures,
        },
      )
  })

  it('leaves alone what does not boot from the network', () => {
    for (const vendorClass of [undefined, '', 'udhcp 1.35.0', 'MSFT 5.0', 'xPXEClient'])
      assert.deepEqual(identifyFirmware(client({ architectures: [7], vendorClass })), {
        kind: 'none',
      })
  })
})
