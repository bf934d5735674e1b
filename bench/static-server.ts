import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'

/** Serves the files of a folder to the peers, in a process of its own as our server is. */
const folder = process.argv[2]!
const PIECE_BYTES = 256 * 1024

const server = createServer(async (request, response) => {
  const path = join(folder, basename(request.url ?? ''))
  try {
    const { size } = await stat(path)
    response.writeHead(200, { 'content-length': size })
    createReadStream(path, { highWaterMark: PIECE_BYTES }).pipe(response)
  } catch {
    response.writeHead(404).end()
  }
})
server.listen(0, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
