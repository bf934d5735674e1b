import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { MIB } from '#test/support/disk-content.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const ANNOUNCED_BYTES = 2 ** 30
const DEADLINE_MILLISECONDS = 20_000

const DISK = randomBytes(4 * MIB)
/** What is sent to it says that it is a GiB. */
const ENV = { STAMPEDE_STORE_QUOTA: '20Mi' }

/** Sends the file, and then noise until somebody hangs up, whatever it is answered. */
function sendWithoutEnd(app: TestApp, name: string, file: Buffer) {
  const socket = connect(app.port, '127.0.0.1')
  socket.on('error', () => {})
  let answer = ''
  let sentBytes = 0
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
  const head = [`PUT /api/images/${name} HTTP/1.1`, 'Host: a']
  head.push(`Authorization: Bearer ${ADMIN_TOKEN}`, `Content-Length: ${ANNOUNCED_BYTES}`, '', '')
  socket.write(head.join('\r\n'))
  socket.write(file)
  const timer = setInterval(() => {
    // What the server does not read waits here.
    if (socket.writableLength > MIB || !socket.writable) return
    // Never the same again: what is in the store already takes no room.
    const noise = randomBytes(65_536)
    socket.write(noise, (err) => void (sentBytes += err ? 0 : noise.length))
  }, 5)
  return {
    answer: () => answer,
    sentBytes: () => sentBytes,
    [Symbol.dispose]() {
      clearInterval(timer)
      socket.destroy()
    },
  }
}

async function waitFor(what: string, isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + DEADLINE_MILLISECONDS
  while (!isSo()) {
    assert.ok(Date.now() < deadline, `Not in time: ${what}`)
    await sleep(10)
  }
}

/** An app, and whether it had to cut somebody off when it stopped: then it waited as long as it does for uploads. */
async function openWatchedApp(env: Record<string, string>) {
  let log = ''
  const app = await openTestApp({ env, onLog: (line) => (log += line) })
  return {
    app,
    stop: async () => {
      await app[Symbol.asyncDispose]()
      assert.doesNotMatch(log, /are cut/)
    },
  }
}

const broken = Buffer.from(gzipSync(DISK, { level: 1 }))
broken.fill(0xff, 2 * MIB, 2 * MIB + 4096)
const xz = (disk: Buffer) => execFileSync('xz', ['-0', '-c'], { input: disk, maxBuffer: 64 * MIB })
const FILES: [what: string, file: Buffer, status: number, words: RegExp][] = [
  ['a .gz larger than the quota', gzipSync(DISK, { level: 1 }), 507, /has 21\.0 MB left/],
  ['a .zst larger than the quota', zstdCompressSync(DISK), 507, /has 21\.0 MB left/],
  ['an .xz larger than the quota', xz(DISK), 507, /has 21\.0 MB left/],
]
const DAMAGED: typeof FILES = [
  ['a damaged .gz', broken, 422, /gzip stream is damaged/],
  ['a damaged .xz', Buffer.concat([xz(DISK), Buffer.alloc(4096, 7)]), 422, /xz stream is damaged/],
]

describe('an upload that is refused while it comes', () => {
  for (const [env, files] of [
    [ENV, FILES],
    [{}, DAMAGED],
  ] as const)
    for (const [what, file, status, words] of files)
      it(`of ${what} is answered, read on, and keeps no server from stopping`, async () => {
        const { app, stop } = await openWatchedApp(env)
        await using opened = new AsyncDisposableStack()
        opened.use(app)
        using sender = sendWithoutEnd(app, 'refused', file)
        await waitFor('an answer', () => words.test(sender.answer()))
        assert.ok(sender.answer().startsWith(`HTTP/1.1 ${status} `), sender.answer())
        // More than the kernel holds for both ends.
        const before = sender.sentBytes()
        await waitFor('more is read', () => sender.sentBytes() > before + 16 * MIB)
        opened.move()
        await stop()
      })

  it('shows curl the answer, and the server stops at once', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stampede-refused-'))
    await using opened = new AsyncDisposableStack()
    opened.defer(() => rm(folder, { recursive: true, force: true }))
    const file = join(folder, 'disk.img.gz')
    await writeFile(file, gzipSync(randomBytes(64 * MIB), { level: 1 }))
    const { app, stop } = await openWatchedApp(ENV)
    const owned = opened.use(new AsyncDisposableStack())
    owned.use(app)
    const options = ['--silent', '--show-error', '--max-time', '30', '--upload-file', file]
    options.push('--header', `Authorization: Bearer ${ADMIN_TOKEN}`, '--write-out', ' %{http_code}')
    const url = `http://127.0.0.1:${app.port}/api/images/large`
    const { stdout } = await promisify(execFile)('curl', [...options, url])
    assert.match(stdout, /"store-full".* 507$/s)
    owned.move()
    await stop()
  })

  it('is answered also while the server stops', async () => {
    const { app, stop } = await openWatchedApp(ENV)
    await using opened = new AsyncDisposableStack()
    opened.use(app)
    using sender = sendWithoutEnd(app, 'refused', Buffer.alloc(0))
    // Noise is a raw disk; nobody knows before how much of it is zeros.
    await waitFor('bytes that came', () => sender.sentBytes() > 4 * MIB)
    opened.move()
    await stop()
    assert.match(sender.answer(), /^HTTP\/1\.1 507 .*"store-full"/s)
  })
})
