import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { HttpStatusError, createHttpClient } from '#agent/client/http.ts'

async function openServer(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

describe('HTTP client of the agent', () => {
  it('sends its token and JSON, and gives back the answer', async () => {
    let seen: unknown
    await using server = await openServer((request, response) => {
      seen = [request.method, request.url, request.headers.authorization]
      request.pipe(response)
    })
    const http = createHttpClient({ serverUrl: server.url, token: 'secret' })
    const { status, body } = await http.send({ method: 'POST', path: '/a?b', json: { c: 1 } })
    assert.deepEqual([status, body.toString()], [200, '{"c":1}'])
    assert.deepEqual(seen, ['POST', '/a?b', 'Bearer secret'])
  })

  it('tries again while a server is away, cut off or starting', async () => {
    let requests = 0
    await using server = await openServer((request, response) => {
      requests++
      if (requests === 1) request.socket.destroy()
      else if (requests === 2) response.writeHead(503).end()
      else if (requests === 3)
        response.writeHead(200, { 'content-length': 100 }).write('x', () => response.destroy())
      else response.end('there')
    })
    const failures: string[] = []
    let answers = 0
    const http = createHttpClient({
      serverUrl: server.url,
      token: undefined,
      reach: { failed: (message) => failures.push(message), answered: () => answers++ },
    })
    const { body } = await http.send({ method: 'GET', path: '/' })
    assert.equal(body.toString(), 'there')
    assert.equal(failures.length, 3)
    assert.equal(answers, 1)
  })

  it('waits for a server that went away after it had worked on a request for long', async () => {
    let requests = 0
    await using server = await openServer((request, response) => {
      if (++requests > 1) return response.end('there')
      return setTimeout(() => request.socket.destroy(), 1500)
    })
    const http = createHttpClient({ serverUrl: server.url, token: undefined, maxOutageSeconds: 1 })
    const { body } = await http.send({ method: 'PUT', path: '/', body: Buffer.from('content') })
    assert.equal(body.toString(), 'there')
  })

  it('is still waiting for an answer while the server answers something else', async () => {
    let isAway = true
    await using server = await openServer((request, response) => {
      if (request.url === '/chunk' && isAway) response.writeHead(503).end()
      else response.end()
    })
    const told: string[] = []
    const failed = Promise.withResolvers<void>()
    const http = createHttpClient({
      serverUrl: server.url,
      token: undefined,
      maxOutageSeconds: 60,
      reach: {
        failed: () => (told.push('failed'), failed.resolve()),
        answered: () => told.push('answered'),
      },
    })
    const chunk = http.send({ method: 'GET', path: '/chunk' })
    await failed.promise
    await http.send({ method: 'POST', path: '/report' })
    assert.ok(!told.includes('answered'))
    isAway = false
    await chunk
    assert.equal(told.at(-1), 'answered')
  })

  it('says why a body cannot be taken, also when HEAD is answered without a word', async () => {
    let requests = 0
    await using server = await openServer((request, response) => {
      requests++
      const error = { code: 'store-unreachable', message: 'The store does not answer' }
      if (requests > 3) response.writeHead(request.method === 'HEAD' ? 404 : 201).end()
      else response.writeHead(503).end(JSON.stringify({ error }))
    })
    const failures: string[] = []
    const http = createHttpClient({
      serverUrl: server.url,
      token: undefined,
      maxOutageSeconds: 60,
      reach: { failed: (message) => failures.push(message), answered: () => {} },
    })
    const put = { method: 'PUT', path: '/c', body: Buffer.from('x'), arrivedAt: '/c' } as const
    assert.equal((await http.send(put)).status, 201)
    assert.equal(failures.length, 3)
    for (const failure of failures) assert.match(failure, /PUT \/c: The store does not answer/)
  })

  it('takes a refusal for final, in the words of the server', async () => {
    let requests = 0
    await using server = await openServer((_, response) => {
      requests++
      const error = { code: 'machine-locked', message: 'The machine is locked' }
      response.writeHead(409).end(JSON.stringify({ error }))
    })
    const http = createHttpClient({ serverUrl: server.url, token: undefined })
    await assert.rejects(http.send({ method: 'GET', path: '/' }), (err) => {
      assert.ok(err instanceof HttpStatusError)
      assert.deepEqual([err.status, err.code], [409, 'machine-locked'])
      assert.match(err.message, /The machine is locked/)
      return true
    })
    assert.equal(requests, 1)
  })

  it('does not ask for ever a server that has a fault', async () => {
    let requests = 0
    await using server = await openServer((_, response) => {
      requests++
      response.writeHead(500).end('<h1>Oops</h1>')
    })
    const http = createHttpClient({ serverUrl: server.url, token: undefined })
    await assert.rejects(http.send({ method: 'GET', path: '/' }), /answered 500 .*<h1>Oops/)
    assert.equal(requests, 3)
  })

  it('ends at once when it is told to stop, even in the middle of an answer', async () => {
    const stop = new AbortController()
    await using server = await openServer((_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('x')
      stop.abort(new Error('The run was cancelled'))
    })
    const http = createHttpClient({ serverUrl: server.url, token: undefined })
    const sent = http.send({ method: 'GET', path: '/', signal: stop.signal })
    await assert.rejects(sent, /The run was cancelled/)
  })

  it('refuses an answer without end', async () => {
    await using server = await openServer((_, response) => {
      const piece = Buffer.alloc(1024 * 1024)
      const write = () => void response.write(piece, (err) => err || write())
      write()
    })
    const http = createHttpClient({ serverUrl: server.url, token: undefined })
    await assert.rejects(http.send({ method: 'GET', path: '/' }), /too long/)
  })
})
