import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chooseSources, parsePrintedUris } from '../../initramfs/apt.ts'

describe('apt', () => {
  it('reads names, versions and sizes from --print-uris', () => {
    const text = [
      "'http://mirror.example/debian/pool/main/l/lvm2/dmsetup_1.02.185-2_amd64.deb' dmsetup_2%3a1.02.185-2_amd64.deb 82040 SHA256:ab",
      "'http://mirror.example/debian/pool/main/c/x_1_all.deb' x_1_all.deb 7 SHA256:cd",
      '',
    ].join('\n')
    assert.deepEqual(parsePrintedUris(text), [
      {
        name: 'dmsetup',
        version: '2:1.02.185-2',
        fileName: 'dmsetup_2%3a1.02.185-2_amd64.deb',
        sizeBytes: 82040,
      },
      { name: 'x', version: '1', fileName: 'x_1_all.deb', sizeBytes: 7 },
    ])
  })

  it("uses the host's mirrors of our release and nothing else of the host's", () => {
    const targets = [
      'http://mirror.example/debian/|bookworm|main|Debian',
      'http://mirror.example/debian/|bookworm|contrib|Debian',
      'http://mirror.example/debian/|bookworm-updates|main|Debian',
      'http://mirror.example/debian/|trixie|main|Debian',
      'https://packages.example/node/|nodistro|main|. nodistro',
    ].join('\n')
    assert.deepEqual(chooseSources(targets), [
      'http://mirror.example/debian/ bookworm main',
      'http://mirror.example/debian/ bookworm-updates main',
    ])
  })

  it("uses the host's mirrors with our release's name on a host of another release", () => {
    const targets = [
      'http://mirror.example/debian/|trixie|main|Debian',
      'http://mirror.example/debian-security/|trixie-security|main|Debian',
    ].join('\n')
    assert.deepEqual(chooseSources(targets), [
      'http://mirror.example/debian/ bookworm main',
      'http://mirror.example/debian-security/ bookworm-security main',
    ])
  })

  it('finds none where the host has no Debian source', () => {
    assert.deepEqual(chooseSources('https://packages.example/x/|stable|main|. stable\n'), [])
  })
})
