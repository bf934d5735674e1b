import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { promisify } from 'node:util'
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

  it('asks for the health of the server where STAMPEDE_HTTP has it', async () => {
    const [, command = ''] = /^HEALTHCHECK .*\\\n +CMD (.*)$/m.exec(runStage!) ?? []
    const server = createServer((_request, response) => response.end('{}')).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const PATH = `${dirname(process.execPath)}:/usr/bin:/bin`
    const env = { PATH, STAMPEDE_HTTP: `127.0.0.1:${port}` }
    await promisify(execFile)('sh', ['-c', command], { env }).finally(() => server.close())
    await assert.rejects(promisify(execFile)('sh', ['-c', command], { env }))
  })

  it('brings every folder that the server or the initramfs imports from', () => {
    for (const folder of ['protocol', 'server', 'migrations'])
      assert.match(runStage!, new RegExp(`^COPY ${folder} ${folder}$`, 'm'))
    for (const folder of ['setup', 'protocol', 'agent', 'initramfs'])
      assert.match(buildStage!, new RegExp(`^COPY ${folder} ${folder}$`, 'm'))
  })
})
