/**
 * Stands in for a server on a machine of its own: it lacks every chunk, takes all that comes, and keeps and
 * verifies nothing. What a capture takes with it is the agent's own part. A program of its own.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'

const server = createServer((request, response) => void answer(request, response))
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.send!(server.address())
process.once('disconnect', () => process.exit())

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url === '/chunks/missing') {
    const { sha256 } = (await json(request)) as { sha256: string[] }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ missing: sha256 }))
    return
  }
  request.resume()
  await once(request, 'end')
  response.writeHead(request.method === 'PUT' ? 201 : 404).end()
}
