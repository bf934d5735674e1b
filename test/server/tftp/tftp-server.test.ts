import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { pino } from 'pino'
import { type TftpPacket, decodeTftp, encodeTftp } from '#protocol/tftp.ts'
import { type TftpServerOptions, openTftpServer } from '#server/tftp/tftp-server.ts'
import { openLossyProxy } from '#test/support/lossy-proxy.ts'
import { readByTftp } from '#test/support/tftp-client.ts'

const DEADLINE_MS = 60_000
const log = pino({ level: 'silent' })

function openServer(content: Record<string, Uint8Array>, options?: Partial<TftpServerOptions>) {
  const files = new Map(Object.entries(content).map(([name, bytes]) => [name, { bytes }]))
  return openTftpServer({ address: '127.0.0.1', port: 0, files: () => files, log, ...options })
}

async function openClient(): Promise<Socket & AsyncDisposable> {
  const socket = createSocket('udp4')
  socket.bind({ address: '127.0.0.1', port: 0 })
  await once(socket, 'listening')
  return socket
}

async function receive(socket: Socket): Promise<{ packet: TftpPacket; port: number }> {
  const signal = AbortSignal.timeout(DEADLINE_MS)
  const [bytes, peer] = await once(socket, 'message', { signal })
  return { packet: decodeTftp(bytes), port: peer.port }
}

function request(fileName: string, options: Record<string, string> = {}, mode = 'octet') {
  return encodeTftp({ kind: 'rrq', fileName, mode, options: new Map(Object.entries(options)) })
}

describe('TFTP server', () => {
  it('sends a file of any size around that of a block', async () => {
    for (const size of [0, 1, 511, 512, 513, 1024, 5000]) {
      const content = randomBytes(size)
      await using server = await openServer({ file: content })
      const { bytes } = await readByTftp({ port: server.port, fileName: 'file' })
      assert.deepEqual(bytes, content)
    }
  })

  it('sends a file from disk, and says its size', async () => {
    await using dir = await mkdtempDisposable(join(tmpdir(), 'tftp-'))
    const content = randomBytes(300_000)
    await writeFile(join(dir.path, 'a'), content)
    const files = new Map([['ipxe.efi', { path: join(dir.path, 'a') }]])
    await using server = await openServer({}, { files: async () => files })
    const options = { tsize: 0, blksize: 1400, windowsize: 8 }
    const read = await readByTftp({ port: server.port, fileName: '\\ipxe.efi', options })
    assert.deepEqual(read.bytes, content)
    assert.deepEqual(read.accepted, { tsize: '300000', blksize: '1400', windowsize: '8' })
  })

  it('serves only what it is given, whatever path the client asks for', async () => {
    await using server = await openServer({ file: Buffer.from('content') })
    for (const fileName of ['/etc/passwd', '../../etc/passwd', 'nothing', '/', 'FILE'])
      await assert.rejects(readByTftp({ port: server.port, fileName }), /1: File not found/)
  })

  it('refuses to be written to, and other modes than octet and netascii', async () => {
    await using server = await openServer({ file: Buffer.from('content') })
    await using client = await openClient()
    const write = encodeTftp({ kind: 'wrq', fileName: 'file', mode: 'octet', options: new Map() })
    client.send(write, server.port, '127.0.0.1')
    const answer = await receive(client)
    assert.deepEqual(answer.packet, {
      kind: 'error',
      code: 2,
      message: 'This server is read-only',
    })
    client.send(request('file', {}, 'mail'), server.port, '127.0.0.1')
    assert.partialDeepStrictEqual((await receive(client)).packet, { kind: 'error', code: 4 })
  })

  it('says in an error that a file on its disk is gone', async () => {
    const files = new Map([['gone', { path: '/nonexistent/file' }]])
    await using server = await openServer({}, { files: () => files })
    await assert.rejects(
      readByTftp({ port: server.port, fileName: 'gone' }),
      /0: The file cannot be read/,
    )
  })

  it('says what is wrong when it cannot listen', async () => {
    await using server = await openServer({})
    await assert.rejects(
      openServer({}, { port: server.port }),
      new RegExp(`^Error: TFTP cannot listen on 127.0.0.1 port ${server.port}: another program`),
    )
    await assert.rejects(openServer({}, { address: '192.0.2.77' }), /no interface has this address/)
  })

  it('opens one transfer for a request that comes twice', async () => {
    await using server = await openServer({ file: randomBytes(2000) })
    await using client = await openClient()
    for (let i = 0; i < 3; i++) client.send(request('file'), server.port, '127.0.0.1')
    const first = await receive(client)
    client.send(encodeTftp({ kind: 'ack', block: 1 }), first.port, '127.0.0.1')
    const second = await receive(client)
    assert.equal(second.port, first.port)
    assert.partialDeepStrictEqual(second.packet, { kind: 'data', block: 2 })
  })

  it('begins anew for another request from the same port', async () => {
    await using server = await openServer({ file: randomBytes(2000), other: randomBytes(10) })
    await using client = await openClient()
    client.send(request('file', { tsize: '0' }), server.port, '127.0.0.1')
    const size = await receive(client)
    assert.equal(size.packet.kind, 'oack')
    client.send(request('other'), server.port, '127.0.0.1')
    const data = await receive(client)
    assert.notEqual(data.port, size.port)
    assert.equal(data.packet.kind === 'data' && data.packet.data.length, 10)
  })

  it('takes an ERROR after the size as the end of that transfer', async () => {
    await using server = await openServer({ file: randomBytes(2000) }, { maxTransfersPerClient: 1 })
    for (let i = 0; i < 5; i++) {
      await using client = await openClient()
      const ask = () => client.send(request('file', { tsize: '0' }), server.port, '127.0.0.1')
      ask()
      const again = setInterval(ask, 50) // the one place may not be free yet
      const { packet, port } = await receive(client).finally(() => clearInterval(again))
      assert.equal(packet.kind === 'oack' && packet.options.get('tsize'), '2000')
      const done = encodeTftp({ kind: 'error', code: 0, message: 'TFTP Aborted' })
      await new Promise<unknown>((sent) => client.send(done, port, '127.0.0.1', sent))
    }
    const { bytes } = await readByTftp({ port: server.port, fileName: 'file' })
    assert.equal(bytes.length, 2000)
  })

  it('drops requests over its limits and serves them when there is room again', async () => {
    await using server = await openServer({ file: randomBytes(2000) }, { maxTransfersPerClient: 2 })
    const clients = [await openClient(), await openClient()]
    for (const client of clients) {
      client.send(request('file'), server.port, '127.0.0.1')
      await receive(client)
    }
    const waiting = readByTftp({ port: server.port, fileName: 'file' })
    const late = await openClient()
    late.send(request('file'), server.port, '127.0.0.1')
    const answer = receive(late).then(() => 'answered')
    const pause = new Promise((resolve) => setTimeout(resolve, 150, 'silent'))
    assert.equal(await Promise.race([answer, pause]), 'silent')
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()))
    // The ports are closed now: the next retransmission finds that out.
    assert.equal((await waiting).bytes.length, 2000)
    late.send(request('file'), server.port, '127.0.0.1')
    assert.equal(await answer, 'answered')
    await late[Symbol.asyncDispose]()
  })

  it('tells who asked for what', async () => {
    const seen: unknown[] = []
    await using server = await openServer(
      { file: Buffer.of() },
      { onSeen: (one) => seen.push(one) },
    )
    await readByTftp({ port: server.port, fileName: '/file' })
    assert.deepEqual(seen, [{ address: '127.0.0.1', fileName: 'file', found: true }])
  })

  for (const windowsize of [1, 4, 16, 64])
    it(`delivers over a bad network with a window of ${windowsize}`, async () => {
      const content = randomBytes(180_000)
      await using server = await openServer({ file: content }, { timeoutMs: 60 })
      for (const seed of [1, 2, 3]) {
        const faults = { drop: 0.04, duplicate: 0.04, delay: 0.04, seed: seed * 100 + windowsize }
        await using proxy = await openLossyProxy(server.port, faults)
        const options = { blksize: 1024, windowsize, tsize: 0 }
        const read = await readByTftp({ port: proxy.port, fileName: 'file', options })
        assert.ok(read.bytes.equals(content))
        assert.ok(proxy.lost.packets > 0)
      }
    })
})
