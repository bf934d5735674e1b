import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ADMIN_TOKEN, openTestApp } from '#test/support/test-app.ts'

const ERROR = 50
const WAIT_MILLISECONDS = 20_000

describe('a caller who goes away in the middle of a body', () => {
  it('is no error in the log of the server', async () => {
    const lines: { level: number; msg: string }[] = []
    await using app = await openTestApp({ onLog: (line) => lines.push(JSON.parse(line)) })
    for (const path of [`/chunks/${'a'.repeat(64)}`, '/api/images/golden']) {
      const start = lines.length
      const socket = connect(app.port, '127.0.0.1')
      await once(socket, 'connect')
      socket.write(
        `PUT ${path} HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer ${ADMIN_TOKEN}\r\n` +
          `Content-Type: application/octet-stream\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(50_000)}`,
      )
      await sleep(300) // or it would never have come
      socket.resetAndDestroy()
      const isSaid = () => lines.slice(start).some(({ msg }) => /Failed|went away/.test(msg))
      for (let waited = 0; !isSaid() && waited < WAIT_MILLISECONDS; waited += 50) await sleep(50)
      assert.ok(isSaid(), 'The server did not notice')
      await sleep(100)
    }
    assert.deepEqual(
      lines.filter(({ level }) => level >= ERROR),
      [],
    )
  })
})
