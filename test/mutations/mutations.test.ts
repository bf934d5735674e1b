import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { describe, it } from 'node:test'
import { MUTATIONS } from './mutations.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const RULES = 13

describe('the table of mutations', () => {
  it('has one of each safety rule at least', () => {
    const rules = new Set(MUTATIONS.map(({ rule }) => rule))
    assert.deepEqual(
      [...rules].toSorted((a, b) => a - b),
      Array.from({ length: RULES }, (_, index) => index + 1),
    )
  })

  for (const { file, text, replacement, tests, without } of MUTATIONS)
    it(`fits the code: ${without}`, async () => {
      const source = await readFile(join(ROOT, file), 'utf8')
      assert.equal(source.split(text).length - 1, 1, `Not once in ${file}: ${text}`)
      assert.notEqual(text, replacement)
      for (const test of tests) assert.ok(existsSync(join(ROOT, test)), `There is no ${test}`)
    })
})
