import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, describe, it } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import { sendPieces } from '#server/api/http/send-pieces.ts'

const PIECE_BYTES = 300_000
const PIECES = 40
const EXPECTED = Buffer.concat(
  Array.from({ length: PIECES }, (_, index) => Buffer.alloc(PIECE_BYTES, index + 1)),
)
const DEADLINE = { timeout: 30_000 }

/** All pieces in the same memory, as pools have it. */
async function* pieces(onEnd: () => void, failAt = Infinity): AsyncGenerator<Uint8Array> {
  const memory = Buffer.alloc(PIECE_BYTES)
  try {
    for (let index = 0; index < PIECES; index++) {
      if (index === failAt) throw new Error('The store is gone')
      yield memory.fill(index + 1)
    }
  } finally {
    memory.fill(0)
    onEnd()
  }
}

describe('bytes in memory that is used again', DEADLINE, () => {
  let app: FastifyInstance
  let port: number
  let ended = Promise.withResolvers<void>()
  let givenBack = 0
  const onEnd = () => {
    givenBack++
    ended.resolve()
  }

  before(async () => {
    app = Fastify()
    app.get<{ Querystring: { failAt?: number } }>('/', (request, reply) => {
      void reply.header('content-length', EXPECTED.length).code(206)
      return sendPieces(reply, pieces(onEnd, Number(request.query.failAt ?? Infinity)))
    })
    await app.listen({ port: 0 })
    port = (app.server.address() as AddressInfo).port
  })
  after(() => app.close())

  async function open(path: string, requests = 1) {
    ended = Promise.withResolvers()
    givenBack = 0
    const socket = connect(port)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(requests))
    await once(socket, 'readable')
    return socket
  }

  it('arrive unchanged at a client that reads slowly', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/`)
    assert.equal(answer.status, 206)
    const parts: Uint8Array[] = []
    for await (const part of answer.body!) {
      parts.push(part)
      if (parts.length % 16 === 0) await sleep(1)
    }
    assert.ok(Buffer.concat(parts).equals(EXPECTED))
  })

  it('are given back when the client leaves in the middle', async () => {
    const socket = await open('/')
    socket.destroy()
    await ended.promise
  })

  it('are all given back when the client leaves with another answer waiting', async () => {
    const socket = await open('/', 2)
    socket.destroy()
    while (givenBack < 2) await ended.promise.then(() => sleep(5))
  })

  it('that fail at once are an error like any other', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/?failAt=0`)
    assert.equal(answer.status, 500)
    assert.match(await answer.text(), /The store is gone/)
  })

  it('that fail later cut the connection, so that nothing looks complete', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/?failAt=20`)
    assert.equal(answer.status, 206)
    await assert.rejects(answer.arrayBuffer())
  })

  it('of two answers on one connection come one after the other', async () => {
    const socket = await open('/', 2)
    let bytes = 0
    for await (const part of socket) {
      bytes += (part as Buffer).length
      if (bytes >= 2 * EXPECTED.length) break
    }
    assert.ok(bytes >= 2 * EXPECTED.length)
  })
})
