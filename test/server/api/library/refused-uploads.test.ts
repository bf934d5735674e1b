import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { watchRefusedUploads } from '#server/api/library/refused-uploads.ts'

const SECONDS = 1000

describe('uploads that there was no room for', () => {
  it('are given up once nobody goes on with them', (context) => {
    context.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
    const { timers } = context.mock
    const given: [holder: string, refusedAt: number][] = []
    using uploads = watchRefusedUploads((holder, at) => given.push([holder, at.getTime()]))
    uploads.refused('again')
    uploads.refused('on')
    timers.tick(60 * SECONDS)
    uploads.refused('again')
    uploads.forget('on')
    timers.tick(89 * SECONDS)
    assert.deepEqual(given, [])
    timers.tick(SECONDS)
    assert.deepEqual(given, [['again', 60 * SECONDS]])
  })
})
