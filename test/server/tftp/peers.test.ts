import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { pino } from 'pino'
import { type TftpServer, openTftpServer } from '#server/tftp/tftp-server.ts'
import type { VirtualFiles } from '#server/tftp/virtual-file.ts'
import { openLossyProxy } from '#test/support/lossy-proxy.ts'

const run = promisify(execFile)
const DEADLINE_MS = 60_000
const log = pino({ level: 'silent' })

/** The npm client has no types; this is the part that we use. */
type NpmTftp = {
  createClient(options: object): {
    get(remote: string, local: string, done: (err: Error | null) => void): void
  }
}
const npmTftp = createRequire(import.meta.url)('tftp') as NpmTftp

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

describe('real TFTP clients get identical bytes', () => {
  let dir: Awaited<ReturnType<typeof mkdtempDisposable>>
  let server: TftpServer
  let local: string
  const digests = new Map<string, string>()

  before(async () => {
    dir = await mkdtempDisposable(join(tmpdir(), 'tftp-peers-'))
    local = join(dir.path, 'received')
    const sizes = {
      'small.efi': 70_000,
      'even.bin': 512 * 128, // needs an empty last block
      'tiny-blocks.bin': 8 * 66_000 + 3, // over 65,535 blocks of 8 bytes
      'over-65535-blocks.bin': 512 * 66_000 + 100, // 34 MB
    }
    const files: VirtualFiles = new Map(
      Object.keys(sizes).map((name) => [name, { path: join(dir.path, name) }]),
    )
    for (const [name, size] of Object.entries(sizes)) {
      await writeFile(join(dir.path, name), randomBytes(size))
      digests.set(name, await sha256(join(dir.path, name)))
    }
    server = await openTftpServer({ address: '127.0.0.1', port: 0, files: () => files, log })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
    await dir[Symbol.asyncDispose]()
  })

  const execute = (command: string, args: string[]) =>
    run(command, args, { timeout: DEADLINE_MS, cwd: dir.path })
  const assertReceived = async (name: string) =>
    assert.equal(await sha256(local), digests.get(name), `"${name}" arrived otherwise`)

  async function atftp(port: number, name: string, options: Record<string, number>) {
    const flags = Object.entries(options).flatMap(([key, value]) => ['--option', `${key} ${value}`])
    await execute('atftp', [...flags, '-g', '-r', name, '-l', local, '127.0.0.1', String(port)])
    await assertReceived(name)
  }

  const variants: Record<string, number>[] = [
    {},
    { blksize: 8 },
    { blksize: 1428, tsize: 0, timeout: 2 },
    { blksize: 1428, windowsize: 4 },
    { blksize: 512, windowsize: 16 },
    { blksize: 8192, windowsize: 64 },
    { blksize: 65464 },
  ]
  for (const options of variants)
    it(`atftp with ${JSON.stringify(options)}`, async () => {
      for (const name of ['small.efi', 'even.bin']) await atftp(server.port, name, options)
    })

  it('atftp with more than 65,535 blocks, in windows and one by one', async () => {
    await atftp(server.port, 'over-65535-blocks.bin', { windowsize: 64 })
    await atftp(server.port, 'tiny-blocks.bin', { blksize: 8 })
  })

  async function tftpHpa(mode: string, name: string) {
    const { port } = server
    return execute('tftp', ['-m', mode, '127.0.0.1', String(port), '-c', 'get', name, local])
  }

  it('tftp-hpa in mode octet, more than 65,535 blocks', async () => {
    for (const name of ['small.efi', 'even.bin', 'over-65535-blocks.bin']) {
      await tftpHpa('octet', name)
      await assertReceived(name)
    }
  })

  it('tftp-hpa in mode netascii, its default, unless the file is large', async () => {
    for (const name of ['small.efi', 'even.bin']) {
      await tftpHpa('netascii', name)
      await assertReceived(name)
    }
    const { stdout, stderr } = await tftpHpa('netascii', 'over-65535-blocks.bin')
    assert.match(stdout + stderr, /ask for it in mode octet/)
  })

  for (const blockBytes of [8, 512, 1428, 16384])
    it(`curl with blocks of ${blockBytes} bytes`, async () => {
      for (const name of ['small.efi', 'even.bin']) {
        const url = `tftp://127.0.0.1:${server.port}/${name}`
        await execute('curl', ['-sSf', '--tftp-blksize', String(blockBytes), '-o', local, url])
        await assertReceived(name)
      }
    })

  it('curl without options, more than 65,535 blocks', async () => {
    const url = `tftp://127.0.0.1:${server.port}/over-65535-blocks.bin`
    await execute('curl', ['-sSf', '--tftp-no-options', '-o', local, url])
    await assertReceived('over-65535-blocks.bin')
  })

  for (const windowSize of [1, 4, 16, 64])
    it(`the npm package tftp with a window of ${windowSize}`, async () => {
      for (const blockSize of [512, 1468]) {
        const options = { host: '127.0.0.1', port: server.port, blockSize, windowSize }
        const client = npmTftp.createClient(options)
        for (const name of ['small.efi', 'even.bin']) {
          await promisify(client.get.bind(client))(name, local)
          await assertReceived(name)
        }
      }
    })

  for (const windowsize of [1, 4, 16, 64])
    it(`atftp over a bad network with a window of ${windowsize}`, async () => {
      const faults = { drop: 0.01, duplicate: 0.02, delay: 0.02, seed: windowsize }
      await using proxy = await openLossyProxy(server.port, faults)
      await atftp(proxy.port, 'small.efi', { blksize: 1428, windowsize, timeout: 1 })
    })
})
