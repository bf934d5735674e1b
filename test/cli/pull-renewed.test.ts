import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { diskContent, sha256 } from '#test/support/disk-content.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { createShell, type Shell } from './stampede.ts'

const EXPORT = '/images/disk.img.gz'
const DISK = diskContent()

/** What the server said before it recompressed, to the first who asks. */
const OLD_LAYOUT = '0123456789abcdef'

/** Passes calls on; the first answer has the entity tag that another layout had. */
async function openProxy(port: number) {
  let isFirst = true
  const server = createServer((asked, answer) => {
    const { method = 'GET', url, headers } = asked
    const upstream = request({ host: '127.0.0.1', port, method, path: url, headers }, (got) => {
      const etag = got.headers.etag
      if (isFirst && url === EXPORT && etag !== undefined) {
        isFirst = false
        got.headers.etag = etag.replace(/-\w+/, `-${OLD_LAYOUT}`)
      }
      answer.writeHead(got.statusCode!, got.headers)
      got.pipe(answer)
    })
    asked.pipe(upstream)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

describe('stampede images pull, while the store is recompressed', () => {
  let app: TestApp
  let shell: Shell
  before(async () => {
    app = await openTestApp({ realTime: true })
    shell = createShell(app.port)
    await writeFile(join(shell.home, 'disk.img'), DISK)
    assert.equal((await shell.run(['images', 'push', 'disk.img'])).code, 0)
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })

  it('begins anew by itself, and leaves nothing of what it had begun', async () => {
    await using proxy = await openProxy(app.port)
    const { headers } = await app.call('HEAD', EXPORT)
    const [, digest = ''] = /"(\w+)-/.exec(headers.get('etag')!)!
    // An earlier pull came so far.
    const part = `disk.img.gz.${digest.slice(48)}-${OLD_LAYOUT}.part`
    await writeFile(join(shell.home, part), new Uint8Array(1000))

    const { code, stderr } = await shell.run(['images', 'pull', 'disk'], {
      env: { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` },
    })
    assert.equal(code, 0, stderr)
    assert.match(stderr, /^Going on at byte 1000$/m)
    assert.match(stderr, /^The server stores the image in other bytes .*: beginning anew$/m)
    const file = await readFile(join(shell.home, 'disk.img.gz'))
    assert.equal(sha256(gunzipSync(file)), sha256(DISK))
    assert.deepEqual(await partsIn(shell.home), [])
  })
})

async function partsIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith('.part'))
}
