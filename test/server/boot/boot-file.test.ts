import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseMac } from '#protocol/mac.ts'
import { BOOT_FILES, type BootFileRequest, bootAnswer } from '#server/boot/boot-file.ts'
import type { Firmware } from '#server/boot/firmware.ts'

const DEBIAN = ['undionly.kpxe', 'snponly.efi', 'ipxe.efi']

const answer = (firmware: Firmware, files: string[], more: Partial<BootFileRequest> = {}) =>
  bootAnswer({
    firmware,
    mac: parseMac('52:54:00:12:34:56'),
    available: new Set(files),
    serverUrl: 'http://10.0.0.1:8080',
    ...more,
  })

describe('bootAnswer', () => {
  const table: [Firmware, files: string[], expected: object][] = [
    ['bios', DEBIAN, { kind: 'tftp', fileName: 'undionly.kpxe' }],
    ['efi-x64', DEBIAN, { kind: 'tftp', fileName: 'snponly.efi' }],
    ['efi-x64', ['ipxe.efi'], { kind: 'tftp', fileName: 'ipxe.efi' }],
    ['efi-x86', [...DEBIAN, 'ipxe-ia32.efi'], { kind: 'tftp', fileName: 'ipxe-ia32.efi' }],
    ['efi-arm64', ['snponly-arm64.efi'], { kind: 'tftp', fileName: 'snponly-arm64.efi' }],
    ['efi-x64-http', DEBIAN, { kind: 'http', url: 'http://10.0.0.1:8080/boot/files/snponly.efi' }],
    [
      'efi-arm64-http',
      ['ipxe-arm64.efi'],
      { kind: 'http', url: 'http://10.0.0.1:8080/boot/files/ipxe-arm64.efi' },
    ],
    ['ipxe', [], { kind: 'script', url: 'http://10.0.0.1:8080/boot/52-54-00-12-34-56.ipxe' }],
  ]
  for (const [firmware, files, expected] of table)
    it(`answers ${firmware} with ${Object.values(expected).join(' ')}`, () => {
      assert.deepEqual(answer(firmware, files), expected)
    })

  it('has nothing for an architecture without a boot file, and names what is missing', () => {
    for (const firmware of ['efi-x86', 'efi-arm64', 'efi-arm64-http'] as const)
      assert.deepEqual(answer(firmware, DEBIAN), { kind: 'none', wanted: BOOT_FILES[firmware] })
    assert.deepEqual(answer('bios', []), { kind: 'none', wanted: ['undionly.kpxe'] })
  })

  it('takes another order of files than ours', () => {
    const preferred = { 'efi-x64': ['custom.efi', 'ipxe.efi'] }
    assert.deepEqual(answer('efi-x64', DEBIAN, { preferred }), {
      kind: 'tftp',
      fileName: 'ipxe.efi',
    })
  })

  it('does not mind a slash at the end of the server’s URL', () => {
    assert.deepEqual(answer('ipxe', [], { serverUrl: 'http://s:80/' }), {
      kind: 'script',
      url: 'http://s:80/boot/52-54-00-12-34-56.ipxe',
    })
  })
})
