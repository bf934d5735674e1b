// Runs inside a lab network's namespace: takes a listening socket of the host from its parent and
// joins each connection to an address inside. A socket stays in the namespace that it was made in.
import { connect } from 'node:net'
import type { Server } from 'node:net'
import { pipeline } from 'node:stream'

const [host, port] = process.argv.slice(2)

process.once('message', (_message, handle) => {
  const server = handle as Server
  server.on('connection', (outside) => {
    const inside = connect({ host, port: Number(port), allowHalfOpen: true })
    // Either end may break off; then the other must, too, and that is all.
    pipeline(outside, inside, () => outside.destroy())
    pipeline(inside, outside, () => inside.destroy())
  })
  process.send?.('ready')
})
process.once('disconnect', () => process.exit())
