import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { chooseSources, parsePrintedUris } from '../../initramfs/apt.ts'

describe('apt', () => {
  it('reads names, versions and sizes from --print-uris', () => {
    const text = [
      "'http://deb.debian.org/debian/pool/main/l/lvm2/dmsetup_1.02.185-2_amd64.deb' dmsetup_2%3a1.02.185-2_amd64.deb 82040 SHA256:ab",
      "'http://deb.debian.org/debian/pool/main/c/x_1_all.deb' x_1_all.deb 7 SHA256:cd",
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
      'https://deb.nodesource.com/node_20.x/|nodistro|main|. nodistro',
    ].join('\n')
    assert.deepEqual(chooseSources(targets), [
      'http://mirror.example/debian/ bookworm main',
      'http://mirror.example/debian/ bookworm-updates main',
    ])
  })

  it('falls back to the Debian archive on a host of another release', () => {
    const sources = chooseSources('http://mirror.example/debian/|trixie|main|Debian\n')
    assert.equal(sources[0], 'http://deb.debian.org/debian bookworm main')
    assert.equal(sources.length, 3)
  })
})
