import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { openForward } from '#lab/forward.ts'
import { openLabNetwork } from '#lab/network.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'

describe('forward', { skip: NEEDS_ROOT }, () => {
  it('joins a port of this host to one inside the namespace', async () => {
    await using network = await openLabNetwork()
    const program = `require('http').createServer((request, response) => {
      request.pipe(response)
    }).listen(8080, '${network.address}', () => console.log('listens'))`
    const server = network.spawn(process.execPath, ['-e', program], { stdio: 'pipe' })
    await once(server.stdout!, 'data')

    const port = await openForward(network, 8080)
    const bodies = ['first', 'x'.repeat(2_000_000)]
    const answers = bodies.map(async (body) => {
      const response = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body })
      return response.text()
    })
    assert.deepEqual(await Promise.all(answers), bodies)
  })
})
