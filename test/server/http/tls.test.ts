import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtempDisposable, readFile } from 'node:fs/promises'
import {
  type IncomingHttpHeaders,
  type IncomingMessage,
  request as requestPlainly,
} from 'node:http'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { connect } from 'node:tls'
import { promisify } from 'node:util'
import { ConfigError, readConfig } from '#server/config.ts'
import { makeUser, PASSWORD } from '#test/support/accounts.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const run = promisify(execFile)

interface Pair {
  cert: string
  key: string
}

async function makeCertificate(folder: string, name: string): Promise<Pair> {
  const pair = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) }
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1']
  const out = ['-keyout', pair.key, '-out', pair.cert, '-days', '1']
  await run('openssl', ['req', '-x509', ...curve, ...subject, ...out])
  return pair
}

describe('HTTPS', () => {
  let folder: Awaited<ReturnType<typeof mkdtempDisposable>>
  let files: Pair
  let app: TestApp

  before(async () => {
    folder = await mkdtempDisposable(join(tmpdir(), 'stampede-tls-'))
    files = await makeCertificate(folder.path, 'first')
    app = await openTestApp({ env: environment(files) })
  })
  after(async () => {
    await app[Symbol.asyncDispose]()
    await folder.remove()
  })

  function environment({ cert, key }: Pair) {
    return {
      STAMPEDE_TLS_CERT: cert,
      STAMPEDE_TLS_KEY: key,
      STAMPEDE_HTTPS: '127.0.0.1:0',
    }
  }

  async function call(method: string, path: string, body?: object, headers = {}) {
    const ca = await readFile(files.cert)
    const { promise, resolve, reject } = Promise.withResolvers<{
      status: number
      headers: IncomingHttpHeaders
      text: string
    }>()
    const type = { 'content-type': 'application/json' }
    const options = { host: '127.0.0.1', port: app.tlsPort, method, path, ca }
    const sent = request({ ...options, headers: { ...type, ...headers } }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => (text += part))
      answer.on('end', () => resolve({ status: answer.statusCode!, headers: answer.headers, text }))
    })
    sent.on('error', reject).setTimeout(30_000, () => sent.destroy(new Error('No answer')))
    sent.end(body && JSON.stringify(body))
    return promise
  }

  it('answers what plain HTTP answers, which stays for firmware', async () => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const answer = await call('GET', '/api/machines', undefined, headers)
    assert.deepEqual(JSON.parse(answer.text), (await app.call('GET', '/api/machines')).body)
    assert.equal((await call('GET', '/api/machines')).status, 401)
    const script = '/boot/52-54-00-00-00-01.ipxe'
    assert.equal((await app.call('GET', script, undefined, { token: null })).status, 200)
  })

  it('a session that begins there has a Secure cookie', async () => {
    await makeUser(app, 'maria', 'viewer')
    const answer = await call('POST', '/api/session', { name: 'maria', password: PASSWORD })
    assert.match(answer.headers['set-cookie']![0]!, /; Secure/)
    const cookie = answer.headers['set-cookie']![0]!.split(';')[0]!
    assert.equal((await call('GET', '/api/session', undefined, { cookie })).status, 200)
  })

  it('chunks and images come as over plain HTTP, one after the other on one connection', async () => {
    const disk = diskContent({ chunks: 5, lastBytes: 4096 })
    assert.equal((await app.call('PUT', '/api/images/golden', disk)).status, 201)
    const ca = await readFile(files.cert)
    const agent = new Agent({ ca, keepAlive: true, maxSockets: 1 })
    const ports = { http: app.port, https: app.tlsPort! }
    const download = async (scheme: keyof typeof ports, path: string, range?: string) => {
      const authorization = `Bearer ${ADMIN_TOKEN}`
      const headers = { authorization, ...(range !== undefined && { range }) }
      const options = { host: '127.0.0.1', port: ports[scheme], path, headers }
      const asked = scheme === 'https' ? request({ ...options, agent }) : requestPlainly(options)
      asked.setTimeout(30_000, () => asked.destroy(new Error('No answer'))).end()
      const [answer] = (await once(asked, 'response')) as [IncomingMessage]
      const { statusCode, headers: told } = answer
      return {
        statusCode,
        etag: told.etag,
        type: told['content-type'],
        bytes: await buffer(answer),
      }
    }
    try {
      const asked: [path: string, range?: string][] = [
        [`/chunks/${sha256(disk.subarray(0, MIB))}`],
        ['/images/golden.img.gz'],
        ['/images/golden.img.gz', 'bytes=100000-1200000'],
        ['/images/golden.img.zst'],
        ['/images/golden.qcow2', 'bytes=-70000'],
        ['/images/golden.img'],
      ]
      // All are asked for before the first has come.
      const secret = await Promise.all(asked.map((each) => download('https', ...each)))
      for (const [index, each] of asked.entries())
        assert.deepEqual(secret[index], await download('http', ...each), each.join())
      assert.deepEqual(secret.at(-1)!.bytes.equals(disk), true)
      assert.deepEqual(
        secret.map(({ statusCode }) => statusCode),
        [200, 200, 206, 200, 206, 200],
      )
    } finally {
      agent.destroy()
    }
  })

  it('what is no HTTP is answered in one line, and ends nothing', async () => {
    const socket = connect({
      host: '127.0.0.1',
      port: app.tlsPort!,
      ca: await readFile(files.cert),
    })
    socket.setTimeout(30_000, () => socket.destroy(new Error('No answer')))
    socket.end('nonsense\r\n\r\n')
    let text = ''
    for await (const part of socket.setEncoding('utf8')) text += String(part)
    assert.match(text, /^HTTP\/1\.1 400 Bad Request\r\n/)
    assert.equal((await call('GET', '/healthz')).status, 200)
  })

  it('takes a renewed certificate, and keeps the one before if that is no good', async () => {
    const config = { host: '127.0.0.1', port: 0, certPath: files.cert, keyPath: files.key }
    const { openTls } = await import('#server/http/tls.ts')
    await using tls = await openTls(config, { http: app.http, log: app.http.log })
    await new Promise<void>((resolve) => tls.server.listen(0, '127.0.0.1', resolve))
    const address = tls.server.address() as { port: number }
    const subject = async () => {
      const socket = connect({ host: '127.0.0.1', port: address.port, rejectUnauthorized: false })
      await new Promise((resolve) => socket.once('secureConnect', resolve))
      const { CN } = socket.getPeerCertificate().subject
      socket.destroy()
      return CN
    }
    assert.equal(await subject(), 'first')
    const second = await makeCertificate(folder.path, 'second')
    await copyFile(second.cert, files.cert)
    await tls.reload() // the key is still the old one
    assert.equal(await subject(), 'first')
    await copyFile(second.key, files.key)
    await tls.reload()
    assert.equal(await subject(), 'second')
  })

  it('a certificate that cannot be used ends the start with a sentence', async () => {
    const other = await makeCertificate(folder.path, 'other')
    for (const [cert, key, reason] of [
      [join(folder.path, 'none.pem'), other.key, /STAMPEDE_TLS_CERT is ".*none\.pem" which cannot/],
      [other.cert, join(folder.path, 'none.key'), /STAMPEDE_TLS_KEY is ".*none\.key" which cannot/],
      [other.key, other.key, /no certificate with its key/],
      [
        other.cert,
        (await makeCertificate(folder.path, 'third')).key,
        /no certificate with its key/,
      ],
    ] as const)
      await assert.rejects(
        () => openTestApp({ env: environment({ cert, key }) }),
        (err) => err instanceof ConfigError && reason.test(err.message),
      )
  })
})

describe('the settings of HTTPS', () => {
  const base = { STAMPEDE_DHCP: 'off', STAMPEDE_URL: 'http://192.0.2.1:8080' }
  const read = (env: Record<string, string>) => readConfig({ ...base, ...env }, {})

  it('are off without a certificate, and on port 8443 with one', () => {
    assert.equal(read({}).tls, undefined)
    assert.deepEqual(read({ STAMPEDE_TLS_CERT: '/a.pem', STAMPEDE_TLS_KEY: '/a.key' }).tls, {
      host: '0.0.0.0',
      port: 8443,
      certPath: '/a.pem',
      keyPath: '/a.key',
    })
  })

  it('belong together', () => {
    const both = { STAMPEDE_TLS_CERT: '/a.pem', STAMPEDE_TLS_KEY: '/a.key' }
    for (const [env, reason] of [
      [{ STAMPEDE_TLS_CERT: '/a.pem' }, /STAMPEDE_TLS_CERT is set, which needs STAMPEDE_TLS_KEY/],
      [{ STAMPEDE_TLS_KEY: '/a.key' }, /STAMPEDE_TLS_KEY is set, which needs STAMPEDE_TLS_CERT/],
      [{ STAMPEDE_HTTPS: '0.0.0.0:443' }, /STAMPEDE_HTTPS is set, which needs STAMPEDE_TLS_CERT/],
      [{ ...both, STAMPEDE_HTTPS: '0.0.0.0:8080' }, /are both on port 8080/],
      [{ ...both, STAMPEDE_HTTPS: '443' }, /STAMPEDE_HTTPS is "443" but must be/],
    ] as const)
      assert.throws(() => read(env), { name: 'ConfigError', message: reason })
  })
})
