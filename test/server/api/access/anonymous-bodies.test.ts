import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { it } from 'node:test'
import { MIB } from '#test/support/disk-content.ts'
import { openTestApp } from '#test/support/test-app.ts'

const BODY_BYTES = 4 * MIB
/** 256 MiB in all. */
const MOST_BODIES = 64
const HELLO = { bootToken: 'x', mac: '52:54:00:00:0a:01', inventory: {} }

it('bodies of nobody in particular that never end do not pile up, and others are heard', async () => {
  await using app = await openTestApp()
  const sockets: Socket[] = []
  await using stack = new AsyncDisposableStack()
  stack.defer(() => sockets.forEach((socket) => socket.destroy()))
  for (let count = 0; count <= MOST_BODIES; count++) sockets.push(await beginHello(app.port))
  const cut = once(sockets[0]!, 'close', { signal: AbortSignal.timeout(30_000) })
  const answer = await app.call('POST', '/agent/hello', HELLO, { token: null })
  assert.equal(answer.status, 400)
  await cut
  assert.equal(sockets.filter(({ closed }) => closed).length, 1)
})

/** Says that a body comes, and sends its first byte. */
async function beginHello(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  const length = `Content-Length: ${BODY_BYTES}`
  const lines = ['POST /agent/hello HTTP/1.1', 'Host: x', 'Content-Type: application/json', length]
  socket.resume().write(`${lines.join('\r\n')}\r\n\r\n{`)
  return socket
}
