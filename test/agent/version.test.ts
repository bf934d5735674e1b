import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { it } from 'node:test'
import { AGENT_VERSION } from '#agent/version.ts'

it("the agent's version is the project's", () => {
  const file = resolve(import.meta.dirname, '../../package.json')
  const { version }: { version: string } = JSON.parse(readFileSync(file, 'utf8'))
  assert.equal(AGENT_VERSION, version)
})
