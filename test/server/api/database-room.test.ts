import assert from 'node:assert/strict'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { putEmbeddedDatabase } from '#test/support/database.ts'
import { diskContent } from '#test/support/disk-content.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openSmallDisk } from '#test/support/small-disk.ts'
import { openTestApp } from '#test/support/test-app.ts'

const DISK_MIB = 160
/** Enough for all that the test itself writes. */
const LEFT_BYTES = 32 * 1024 ** 2
const CONTENT = diskContent({ chunks: 3 })
const MAC = '52:54:00:00:00:01'

interface Refused {
  error: { code: string; message: string }
}

describe('a server whose database has hardly room left', { skip: NEEDS_ROOT }, () => {
  it('begins neither upload nor capture, says why, and does so once there is room', async () => {
    await using disk = await openSmallDisk(DISK_MIB)
    await putEmbeddedDatabase(disk.path)
    await using store = await mkdtempDisposable(join(tmpdir(), 'stampede-store-'))
    await using app = await openTestApp({
      env: { STAMPEDE_DATA: disk.path, STAMPEDE_STORE: `file:${store.path}` },
    })
    const begin = { name: 'piecewise', sizeBytes: CONTENT.length }
    const capture = { mac: MAC, workflow: 'capture', image: 'captured' }
    const attempts = [
      ['PUT', '/api/images/debian', CONTENT],
      ['POST', '/api/uploads', begin],
      ['POST', '/api/runs', capture],
    ] as const
    assert.equal((await app.call('PUT', `/api/machines/${MAC}`, {})).status, 200)

    disk.fill(LEFT_BYTES)
    for (const [method, path, body] of attempts) {
      const answer = await app.call<Refused>(method, path, body)
      assert.equal(answer.status, 507, `${method} ${path}`)
      assert.equal(answer.body.error.code, 'database-full')
      assert.match(
        answer.body.error.message,
        /^\d+ bytes are free on the disk of ".*", and the embedded database needs \d+; make room/,
      )
    }
    // What is small goes on.
    assert.equal((await app.call('PUT', `/api/machines/${MAC}`, { name: 'lab-1' })).status, 200)

    disk.makeRoom()
    for (const [method, path, body] of attempts) {
      const answer = await app.call(method, path, body)
      assert.equal(answer.status, 201, `${method} ${path}: ${JSON.stringify(answer.body)}`)
    }
  })
})
