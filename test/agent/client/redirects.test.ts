import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { createChunkClient } from '#agent/client/http-chunk-client.ts'
import { createHttpClient } from '#agent/client/http.ts'
import { sha256 } from '#test/support/disk-content.ts'

const CONTENT = Buffer.alloc(4096, 'the content ')
const HASH = sha256(CONTENT)
const MEMBER = gzipSync(CONTENT)

async function listen(listener: RequestListener) {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    seen.push(request)
    listener(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    seen,
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A server that sends for chunks to `store` unless it is to answer by itself. */
const openServer = (store: string, bytes: Uint8Array = MEMBER) =>
  listen((request, response) => {
    if (request.url?.includes('direct=1')) response.end(bytes)
    else response.writeHead(307, { location: `${store}/bucket/chunk?signature=1` }).end()
  })

const read = (url: string) => {
  const http = createHttpClient({ serverUrl: url, token: 'secret' })
  const client = createChunkClient(http)
  return async () => await client.read(HASH, AbortSignal.timeout(60_000))
}

describe('chunks that the server sends the agent to a store for', () => {
  it('come from the store, which never sees the token', async () => {
    await using store = await listen((_request, response) => response.end(MEMBER))
    await using server = await openServer(store.url)
    assert.ok(CONTENT.equals(await read(server.url)()))
    assert.equal(server.seen[0]?.headers.authorization, 'Bearer secret')
    assert.deepEqual([store.seen.length, server.seen.length], [1, 1])
    assert.equal(store.seen[0]?.url, '/bucket/chunk?signature=1')
    assert.equal(store.seen[0]?.headers.authorization, undefined)
    assert.doesNotMatch(JSON.stringify(store.seen[0]?.rawHeaders), /secret/)
  })

  it('come from the server if nothing answers there, and soon are asked of it alone', async () => {
    await using server = await openServer('http://127.0.0.1:9')
    const readChunk = read(server.url)
    for (let index = 0; index < 5; index++) assert.ok(CONTENT.equals(await readChunk()))
    const direct = `/chunks/${HASH}?direct=1`
    const urls = server.seen.map(({ url }) => url)
    assert.deepEqual(urls.slice(0, 2), [`/chunks/${HASH}`, direct])
    assert.deepEqual(urls.slice(-2), [direct, direct])
    assert.equal(urls.length, 8)
  })

  it('come from the server if the store refuses, as it does a link that expired', async () => {
    await using store = await listen((_request, response) =>
      response.writeHead(403).end('<Error/>'),
    )
    await using server = await openServer(store.url)
    assert.ok(CONTENT.equals(await read(server.url)()))
  })

  it('come from the server if what the store sent is damaged', async () => {
    const damaged = Buffer.from(MEMBER).fill(7, 20, 24)
    await using store = await listen((_request, response) => response.end(damaged))
    await using server = await openServer(store.url)
    assert.ok(CONTENT.equals(await read(server.url)()))
    assert.equal(store.seen.length, 1)
  })

  it('are not looked for where the server names no address of HTTP', async () => {
    await using server = await openServer('file:///etc')
    assert.ok(CONTENT.equals(await read(server.url)()))
  })
})
