/**
 * Reads from a server as many clients do at once and throws away what comes: a program of its own.
 * One buffer for each connection is read into again and again (`onread`), which costs a fraction
 * of what curl or fetch do, so that the server is what is measured.
 */
import { once } from 'node:events'
import { connect } from 'node:net'

export interface ClientsOrder {
  port: number
  token?: string
  /** What each client asks for, one after the other on one connection. */
  paths: string[][]
  /** Of each answer, from its beginning; all of it by default. */
  bytes?: number
}

export interface ClientsAnswer {
  seconds: number
  /** Of bodies. */
  bytes: number
}

const BUFFER_BYTES = 256 * 1024
const MAX_HEAD_BYTES = 16 * 1024
const IDLE_MILLISECONDS = 60_000

const [order] = (await once(process, 'message')) as [ClientsOrder]
const start = performance.now()
const received = await Promise.all(order.paths.map((paths) => fetchAll(paths)))
const answer: ClientsAnswer = {
  seconds: (performance.now() - start) / 1000,
  bytes: received.reduce((sum, bytes) => sum + bytes, 0),
}
process.send!(answer, () => process.disconnect())

function fetchAll(paths: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    let next = 0
    let total = 0
    /** Undefined: the head of an answer is being waited for. */
    let left: number | undefined
    let head = ''

    function take(count: number, buffer: Uint8Array): boolean {
      let from = 0
      if (left === undefined) {
        const before = head.length
        const text = Buffer.from(buffer.buffer, 0, Math.min(count, MAX_HEAD_BYTES))
        head += text.toString('latin1')
        const end = head.indexOf('\r\n\r\n')
        if (end === -1) return head.length < MAX_HEAD_BYTES || fail('The head does not end')
        left = bodyLength(head)
        if (left === undefined) return fail(`Unexpected answer: ${head.slice(0, end)}`)
        from = end + 4 - before
        head = ''
      }
      left -= count - from
      total += count - from
      if (left < 0) return fail('More came than was announced')
      if (left === 0) ask()
      return true
    }

    const onread = { buffer: Buffer.allocUnsafeSlow(BUFFER_BYTES), callback: take }
    const socket = connect({ port: order.port, host: '127.0.0.1', onread })
    socket.setNoDelay().setTimeout(IDLE_MILLISECONDS, () => fail('Nothing came for a minute'))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('The server closed the connection')))
    ask()

    function ask(): void {
      left = undefined
      const path = paths[next++]
      if (path === undefined) {
        resolve(total)
        socket.destroy()
        return
      }
      const range = order.bytes === undefined ? '' : `Range: bytes=0-${order.bytes - 1}\r\n`
      const token = order.token === undefined ? '' : `Authorization: Bearer ${order.token}\r\n`
      socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${token}${range}\r\n`)
    }

    function fail(reason: string): false {
      reject(new Error(reason))
      socket.destroy()
      return false
    }
  })
}

function bodyLength(head: string): number | undefined {
  if (!/^HTTP\/1\.1 20[06] /.test(head)) return undefined
  const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1]
  return length === undefined ? undefined : Number(length)
}
