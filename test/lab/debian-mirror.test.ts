import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findMirror } from '#lab/debian-mirror.ts'

describe('Debian mirror', () => {
  it('is found in one-line sources, with or without options', () => {
    const lines = [
      '# deb http://old.example/debian bookworm main',
      'deb http://security.example/debian-security bookworm-security main',
      'deb [signed-by=/usr/share/keyrings/k.gpg] https://mirror.example/debian/ bookworm main',
    ]
    assert.equal(findMirror(lines.join('\n')), 'https://mirror.example/debian')
    assert.equal(findMirror('deb http://cache:3142/debian trixie main'), 'http://cache:3142/debian')
  })

  it('is found in deb822 sources', () => {
    const text = 'Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n'
    assert.equal(findMirror(text), 'http://mirror.example/debian')
  })

  it('is no other archive', () => {
    assert.equal(findMirror('deb https://packages.example/apt stable main'), undefined)
    assert.equal(findMirror('URIs: http://mirror.example/debian-security\n'), undefined)
  })
})
