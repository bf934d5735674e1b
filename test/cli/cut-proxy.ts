import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'

/** Between command and server: counts what is asked, and cuts connections. */
export interface CutProxy extends AsyncDisposable {
  readonly port: number
  /** Request lines so far: `PUT /chunks/…`. */
  readonly requests: () => string[]
  /** Closes when the answer to this request line has passed, before another may be asked for. */
  readonly closeAfter: (line: string) => void
  /** Ends all connections, and refuses new ones until `open`. */
  readonly close: () => void
  readonly open: () => void
}

/** What was passed on a moment ago may be lost where a connection is cut. */
const ARRIVED_MILLISECONDS = 100
const REQUEST_LINE = /(?:^|\r\n)((?:GET|HEAD|POST|PUT|PATCH|DELETE) \S+) HTTP\/1\.1\r\n/g

export async function openCutProxy(port: number): Promise<CutProxy> {
  const sockets = new Set<Socket>()
  const requests: string[] = []
  let isOpen = true
  let last: string | undefined
  const server = createServer((client) => {
    if (!isOpen) return void client.destroy()
    const upstream = connect(port, '127.0.0.1')
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        client.destroy()
        upstream.destroy()
      })
    }
    let isLast = false
    client.on('data', (bytes) => {
      for (const [, line] of bytes.toString('latin1').matchAll(REQUEST_LINE)) {
        requests.push(line!)
        isLast ||= line === last
      }
    })
    client.pipe(upstream).pipe(client)
    upstream.on('data', () => {
      if (!isLast) return
      isOpen = false
      setTimeout(cut, ARRIVED_MILLISECONDS)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    requests: () => requests,
    closeAfter: (line) => void (last = line),
    close() {
      isOpen = false
      cut()
    },
    open: () => void (isOpen = true),
    async [Symbol.asyncDispose]() {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
