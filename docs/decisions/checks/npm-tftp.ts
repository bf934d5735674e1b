// The decisive checks on npm's "tftp" for decision 001, on loopback:
//   node docs/decisions/checks/npm-tftp.ts
import { randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeTftp, encodeTftp } from '#protocol/tftp.ts'
import { openTftpServer } from '#server/tftp/tftp-server.ts'
import { openLossyProxy } from '#test/support/lossy-proxy.ts'
import { readByTftp } from '#test/support/tftp-client.ts'

const tftp = createRequire(import.meta.url)('tftp')
const SIZE_BYTES = 300_000
const TRIES = 10

const folder = await mkdtemp(join(tmpdir(), 'npm-tftp-'))
const root = join(folder, 'root')
await mkdir(root)
await writeFile(join(folder, 'secret'), 'secret')
await symlink('../secret', join(root, 'link'))
await writeFile(join(root, 'file'), randomBytes(SIZE_BYTES))

const NPM_PORT = 16_969
const npmServer = tftp.createServer({ host: '127.0.0.1', port: NPM_PORT, root, denyPUT: true })
npmServer.on('error', (err: Error) => console.log('error event:', err.message))
npmServer.on('request', (request: NodeJS.EventEmitter) => request.on('error', () => {}))
npmServer.listen()
const ours = await openTftpServer({
  address: '127.0.0.1',
  port: 0,
  files: () => new Map([['file', { path: join(root, 'file') }]]),
  log: { debug() {}, info() {}, warn() {}, error: console.error } as never,
})
await new Promise((resolve) => setTimeout(resolve, 200))

const { bytes } = await readByTftp({ port: NPM_PORT, fileName: 'link' })
console.log(`a symbolic link out of the root: served "${bytes.toString()}"`)

console.log('the client asks for timeout 1 and is silent; ms to the retransmission of the OACK:')
for (const [name, port] of [
  ['npm', NPM_PORT],
  ['ours', ours.port],
] as const) {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const options = new Map([['timeout', '1']])
  socket.send(encodeTftp({ kind: 'rrq', fileName: 'file', mode: 'octet', options }), port)
  const [first] = await once(socket, 'message')
  const startedAt = performance.now()
  await once(socket, 'message', { signal: AbortSignal.timeout(20_000) })
  const { kind } = decodeTftp(first)
  console.log(`  ${name}: ${Math.round(performance.now() - startedAt)} ms (${kind})`)
  socket.close()
}

console.log(`${TRIES} reads of ${SIZE_BYTES} bytes, blocks of 1428, 1 % of packets lost each way:`)
for (const windowsize of [1, 16])
  for (const [name, port] of [
    ['npm', NPM_PORT],
    ['ours', ours.port],
  ] as const) {
    const results = await Promise.all(
      Array.from({ length: TRIES }, async (_, seed) => {
        const faults = { drop: 0.01, duplicate: 0, delay: 0, seed }
        await using proxy = await openLossyProxy(port, faults)
        const options = { blksize: 1428, windowsize }
        const read = readByTftp({ port: proxy.port, fileName: 'file', options, timeoutMs: 1500 })
        return await read.then(
          (one) => (one.bytes.length === SIZE_BYTES ? 'whole' : 'wrong'),
          (err: Error) => err.message,
        )
      }),
    )
    const whole = results.filter((one) => one === 'whole').length
    const others = [...new Set(results.filter((one) => one !== 'whole'))].join('; ')
    console.log(`  ${name}, window ${windowsize}: ${whole} of ${TRIES} arrive ${others}`)
  }

await ours[Symbol.asyncDispose]()
await rm(folder, { recursive: true })
process.exit()
