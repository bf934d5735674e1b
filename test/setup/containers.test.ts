import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { PACKAGES } from '../../setup/debian-packages.mjs'

const root = join(import.meta.dirname, '../..')
const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')
const [, buildStage, runStage] = dockerfile.split(/^FROM .*$/m)

describe('the Dockerfile', () => {
  it('installs for the server what set-up installs for it', () => {
    for (const name of PACKAGES.server) assert.match(runStage!, new RegExp(`\\b${name}\\b`))
  })

  it('copies only what is there', () => {
    const copied = dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)
    const sources = [...copied].flatMap(([, list]) => list!.split(' '))
    assert.ok(sources.length > 5)
    for (const source of sources) assert.ok(existsSync(join(root, source)), source)
  })

  it('brings every folder that the server or the initramfs imports from', () => {
    for (const folder of ['protocol', 'server', 'migrations'])
      assert.match(runStage!, new RegExp(`^COPY ${folder} ${folder}$`, 'm'))
    for (const folder of ['setup', 'protocol', 'agent', 'initramfs'])
      assert.match(buildStage!, new RegExp(`^COPY ${folder} ${folder}$`, 'm'))
  })
})
