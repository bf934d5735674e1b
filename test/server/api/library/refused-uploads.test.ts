import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { OpenUpload } from '#server/db/images/uploads.ts'
import { watchRefusedUploads } from '#server/api/library/refused-uploads.ts'

const SECONDS = 1000

function openUpload(holder: string): OpenUpload {
  return { id: holder, holder, startedAt: new Date(), touchedAt: new Date() }
}

describe('uploads that there was no room for', () => {
  it('are given up once nobody goes on with them', (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] })
    const { timers } = context.mock
    const given: OpenUpload[] = []
    using uploads = watchRefusedUploads((upload) => given.push(upload))
    const again = openUpload('again')
    uploads.refused(openUpload('again'))
    uploads.refused(openUpload('on'))
    timers.tick(60 * SECONDS)
    uploads.refused(again)
    uploads.forget('on')
    timers.tick(89 * SECONDS)
    assert.deepEqual(given, [])
    timers.tick(SECONDS)
    assert.equal(given.length, 1)
    assert.equal(given[0], again)
  })
})
