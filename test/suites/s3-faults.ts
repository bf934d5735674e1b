import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, mkdtempDisposable, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, mock } from 'node:test'
import { promisify } from 'node:util'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import {
  ChunkMissingError,
  type ChunkStore,
  StoreFullError,
  StoreUnreachableError,
} from '#server/images/store/chunk-store.ts'
import type { S3Access } from '#server/images/s3/s3-access.ts'
import { checkS3Store } from '#server/images/s3/s3-check.ts'
import { createS3Client, type S3ClientOptions } from '#server/images/s3/s3-client.ts'
import { testCells } from '#test/faults/cell.ts'
import { openFaultLab, type FaultLab } from '#test/faults/fault-lab.ts'
import { s3Refusals } from '#test/faults/s3-refusals.ts'
import { s3Outages } from '#test/faults/s3.ts'
import { cleanEnvironment } from '#test/support/clean-environment.ts'
import { diskContent, MIB, sha256 } from '#test/support/disk-content.ts'
import { putEmbeddedDatabase } from '#test/support/database.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openPhaseProxy, type PhaseProxy } from '#test/support/phase-proxy.ts'
import type { RadosGateway } from '#test/support/rados-gateway.ts'
import { ADMIN_TOKEN, openTestApp } from '#test/support/test-app.ts'

const MAIN = new URL('../../server/main.ts', import.meta.url).pathname
const STORE = new URL('../../server/store-main.ts', import.meta.url).pathname
const CONTENT = Buffer.alloc(MIB, 'the content ')
const HASH = sha256(CONTENT)
const MEMBER = gzipSync(CONTENT)
/** Of S3, for a store that tries again for at least 3 s. */
const OUTAGE_MILLISECONDS = 1500
const MOST_ROUNDS = 100

export interface FaultSubject {
  gateway: () => RadosGateway
  /** A store of the gateway. */
  openStore: (access: S3Access, options?: S3ClientOptions) => ChunkStore
}

/** What becomes of a store in S3 when S3, the network, the keys or the clock fail. */
export function testS3Faults({ gateway, openStore }: FaultSubject): void {
  const env = (prefix: string) => ({
    STAMPEDE_STORE: `s3://stampede/${prefix}`,
    AWS_ENDPOINT_URL: gateway().endpoint,
    AWS_ACCESS_KEY_ID: gateway().access('stampede').accessKeyId,
    AWS_SECRET_ACCESS_KEY: gateway().access('stampede').secretAccessKey,
  })

  const throughProxy = ({ url }: PhaseProxy, prefix: string): S3Access => ({
    ...gateway().access('stampede', prefix),
    bucketUrl: `${url}/stampede/`,
  })

  const refused = (change: Partial<S3Access>, pattern: RegExp) =>
    assert.rejects(
      checkS3Store({ ...gateway().access('stampede', 'faults/'), ...change }),
      (err) => {
        assert.ok(err instanceof StoreUnreachableError)
        assert.match(err.message, pattern)
        assert.doesNotMatch(err.message, /testsecretkey/)
        return true
      },
    )

  it('is content with a bucket that can be written, and leaves nothing in it', async () => {
    const access = gateway().access('stampede', 'checked/')
    await checkS3Store(access)
    assert.deepEqual(await Array.fromAsync(openStore(access).list('')), [])
  })

  it('says that there is no such bucket', () =>
    refused(
      { bucket: 'nowhere', bucketUrl: `${gateway().endpoint}/nowhere/` },
      /has no bucket "nowhere"; create it, or correct STAMPEDE_STORE/,
    ))

  // Newer gateways, and Amazon's S3, heed the condition there, too.
  it('says that a bucket with versions cannot be used where they undo conditions', async () => {
    const bucket = 'versioned'
    await gateway().createBucket(bucket)
    const body = Buffer.from(
      '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
    )
    const query = { versioning: '' }
    await createS3Client(gateway().access(bucket)).send({ method: 'PUT', query, body })
    await refused(gateway().access(bucket), /that keeps versions.*; use a bucket without version/)
  })

  it('says that the access key is unknown', () =>
    refused({ accessKeyId: 'AKIDOFNOBODY' }, /does not know the access key "AKIDOFNOBODY"/))

  it('says that the secret key is wrong', () =>
    refused({ secretAccessKey: 'guessed' }, /"TESTACCESSKEY"; check AWS_SECRET_ACCESS_KEY/))

  it('says that nothing answers there', () =>
    refused(
      { bucketUrl: 'http://127.0.0.1:9/stampede/' },
      /does not answer.*ECONNREFUSED.*AWS_END/,
    ))

  it('says that the server there is none of S3', async () => {
    const server = createServer((_request, response) => response.end('<html>Welcome</html>'))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { port } = server.address() as AddressInfo
      await refused({ bucketUrl: `http://127.0.0.1:${port}/x/` }, /does not answer as S3 does/)
    } finally {
      server.close()
    }
  })

  it('says that a server is asked for one bucket alone if its name begins as that does', () =>
    refused(
      // As of http://stampede.example, a gateway that knows its buckets by their paths.
      { bucketUrl: `${gateway().endpoint}/` },
      /its name begins with that of the bucket.*; name it otherwise in AWS_ENDPOINT_URL/,
    ))

  it('says that the certificate there is of an unknown authority, and what to do', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-s3-tls-'))
    const [key, cert] = ['key', 'cert'].map((name) => join(folder.path, name)) as [string, string]
    const made = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1']
    const subject = ['-subj', '/CN=s3', '-addext', 'subjectAltName=IP:127.0.0.1']
    const out = ['-keyout', key, '-out', cert]
    await promisify(execFile)('openssl', ['req', '-x509', ...made, ...subject, ...out])
    const server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    try {
      const { port } = server.address() as AddressInfo
      await refused(
        { bucketUrl: `https://127.0.0.1:${port}/x/` },
        /certificate of https:.* is of an unknown authority; .* in NODE_EXTRA_CA_CERTS and start/,
      )
    } finally {
      server.close()
    }
  })

  it('says that an object was archived, where that is all that is wrong with it', async () => {
    await using proxy = await openPhaseProxy(gateway().endpoint)
    const store = openStore(throughProxy(proxy, 'archived/'))
    await store.putIfAbsent(HASH, MEMBER)
    const body =
      '<?xml version="1.0"?><Error><Code>InvalidObjectState</Code><Message>no</Message></Error>'
    proxy.refuse = ({ method }) =>
      method === 'GET' ? { status: 403, body, isDone: false } : undefined
    await assert.rejects(
      store.read(HASH),
      /has objects that were archived .*; restore them, and let no life-cycle rule/,
    )
  })

  it('says that the clocks differ, and what they say', async () => {
    mock.timers.enable({ apis: ['Date'], now: Date.now() - 3_600_000 })
    try {
      await refused(
        {},
        /its clock says \d{4}-.*Z and this server's .*Z, 60 minutes apart; set both/,
      )
    } finally {
      mock.timers.reset()
    }
  })

  it('ends with one sentence if the bucket cannot be used', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stampede-s3-main-'))
    try {
      await putEmbeddedDatabase(folder)
      const child = spawn(process.execPath, [MAIN], {
        env: cleanEnvironment({
          ...env('main'),
          STAMPEDE_DATA: folder,
          STAMPEDE_DHCP: 'off',
          STAMPEDE_HTTP: '127.0.0.1:0',
          STAMPEDE_URL: 'http://127.0.0.1:1',
          AWS_SECRET_ACCESS_KEY: 'guessed',
        }),
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => (output += text))
      await once(child, 'close')
      assert.equal(child.exitCode, 1)
      assert.match(
        output,
        /^.*s3:\/\/stampede\/main refuses the signature.*AWS_SECRET_ACCESS_KEY\n$/,
      )
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('says that the quota is used up, and works again with a larger one', async () => {
    const bucket = 'small'
    await gateway().createBucket(bucket)
    const store = openStore(gateway().access(bucket))
    const quota = (objects: number) =>
      gateway().admin(
        'quota',
        'set',
        '--quota-scope=bucket',
        `--bucket=${bucket}`,
        `--max-objects=${objects}`,
      )
    await quota(2)
    await gateway().admin('quota', 'enable', '--quota-scope=bucket', `--bucket=${bucket}`)
    const put = async (index: number) => {
      const content = Buffer.alloc(4096, `${index} `)
      await store.putIfAbsent(sha256(content), gzipSync(content))
    }
    await assert.rejects(async () => {
      for (let index = 0; index < 20; index++) await put(index)
    }, StoreFullError)
    await quota(1000)
    await put(30)
  })

  it('sets what is damaged aside where its quota is used up', async () => {
    const bucket = 'spoilt'
    await gateway().createBucket(bucket)
    const access = gateway().access(bucket)
    const store = openStore(access)
    await store.putIfAbsent(HASH, MEMBER)
    const key = `chunks/${HASH.slice(0, 2)}/${HASH.slice(2)}`
    const body = Buffer.from('rotten, and as long as a chunk')
    await createS3Client(access).send({ method: 'PUT', key, body })
    const ofBucket = ['--quota-scope=bucket', `--bucket=${bucket}`]
    await gateway().admin('quota', 'set', ...ofBucket, '--max-objects=1')
    await gateway().admin('quota', 'enable', ...ofBucket)
    assert.equal(await store.quarantine(HASH), true)
    assert.equal((await store.touch([HASH])).size, 0)
    await gateway().admin('quota', 'disable', ...ofBucket)
    await store.putIfAbsent(HASH, MEMBER)
    assert.ok(MEMBER.equals((await store.read(HASH)).bytes))
  })

  it('is served from where its quota is used up, and moved away from there', async () => {
    const bucket = 'full'
    await gateway().createBucket(bucket)
    const folder = await mkdtemp(join(tmpdir(), 'stampede-s3-full-'))
    const settings = { ...env(''), STAMPEDE_STORE: `s3://${bucket}`, STAMPEDE_DATA: folder }
    const disk = diskContent({ chunks: 5, lastBytes: 4096 })
    try {
      await putEmbeddedDatabase(folder)
      {
        await using app = await openTestApp({ env: settings })
        assert.equal((await app.call('POST', '/api/images/debian', disk)).status, 201)
      }
      const ofBucket = ['--quota-scope=bucket', `--bucket=${bucket}`]
      await gateway().admin('quota', 'set', ...ofBucket, '--max-objects=1')
      await gateway().admin('quota', 'enable', ...ofBucket)
      {
        await using app = await openTestApp({ env: settings })
        const answer = await fetch(`${app.url}/images/debian.img.gz`, {
          headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
        })
        assert.ok(gunzipSync(Buffer.from(await answer.arrayBuffer())).equals(disk))
        const other = await app.call(
          'POST',
          '/api/images/other',
          diskContent({ chunks: 2, lastBytes: 512 }),
        )
        assert.equal(other.status, 507, JSON.stringify(other.body))
      }
      const move = (from: string, to: string) =>
        promisify(execFile)(process.execPath, [STORE, 'migrate', '--from', from, '--to', to], {
          env: cleanEnvironment(settings),
        })
      const copied = await move(`s3://${bucket}`, `file:${folder}/moved`)
      assert.match(copied.stdout, /^\d+ of \d+ chunks copied, .* has all that/)
      await assert.rejects(
        move(`file:${folder}/moved`, `s3://${bucket}/back`),
        (err: Error & { stderr: string }) => {
          assert.match(err.stderr, /^s3:\/\/full\/back is full; make room there, and [^\n]*\n$/)
          return true
        },
      )
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })

  it('answers 503 while the store is away, and serves again when it is back', async () => {
    await using app = await openTestApp({ env: env('outage') })
    const disk = diskContent({ chunks: 5, lastBytes: 4096 })
    const made = await app.call('POST', '/api/images/debian', disk)
    assert.equal(made.status, 201, JSON.stringify(made.body))
    const chunk = sha256(disk.subarray(0, MIB))
    assert.equal((await app.call('GET', `/chunks/${chunk}`)).status, 200)
    await gateway().kill()
    try {
      const calls = [
        ['GET', `/chunks/${chunk}`],
        ['HEAD', `/chunks/${chunk}`],
        ['PUT', `/chunks/${HASH}`, MEMBER],
        ['POST', '/chunks/missing', { sha256: [chunk, HASH] }],
        ['POST', '/api/images/other', disk],
        ['GET', '/images/debian.img.gz'],
        ['GET', '/images/debian.qcow2'],
      ] as const
      const answers = calls.map(async ([method, path, body]) => {
        const answer = await app.call<{ error: { code: string } }>(method, path, body)
        assert.equal(answer.status, 503, `${method} ${path}`)
        if (method !== 'HEAD') assert.equal(answer.body.error.code, 'store-unreachable')
        // Or a browser would save the error as the image.
        assert.equal(answer.headers.get('content-disposition'), null)
      })
      await Promise.all(answers)
      // What needs no chunk goes on.
      assert.equal((await app.call('GET', '/api/images')).status, 200)
    } finally {
      await gateway().start()
    }
    assert.equal((await app.call('PUT', `/chunks/${HASH}`, MEMBER)).status, 201)
    const response = await fetch(`${app.url}/images/debian.img.gz`, {
      headers: { authorization: 'Bearer admin-token-of-the-tests' },
    })
    assert.ok(gunzipSync(Buffer.from(await response.arrayBuffer())).equals(disk))
  })

  it('takes no answer without a code for that of S3: not every 404 says that a chunk is missing', async () => {
    await using proxy = await openPhaseProxy(gateway().endpoint)
    const store = openStore(throughProxy(proxy, 'ingress/'))
    await store.putIfAbsent(HASH, MEMBER)
    proxy.refuse = () => ({ status: 404, body: 'default backend - 404', isDone: false })
    await assert.rejects(store.read(HASH), (err) => {
      assert.ok(err instanceof StoreUnreachableError, String(err))
      assert.match(err.message, /does not answer as S3 does: GET .* was answered 404; check AWS_E/)
      return true
    })
    proxy.refuse = undefined
    assert.ok(MEMBER.equals((await store.read(HASH)).bytes))
    await assert.rejects(store.read(sha256(Buffer.from('nobody has it'))), ChunkMissingError)
  })

  it('copies once more what it is told was not copied after all, in an answer that began well', async () => {
    await using proxy = await openPhaseProxy(gateway().endpoint)
    const store = openStore(throughProxy(proxy, 'copied/'))
    await store.putIfAbsent(HASH, MEMBER)
    const body = '<?xml version="1.0"?><Error><Code>InternalError</Code></Error>'
    let failures = 0
    proxy.refuse = ({ path }) =>
      path.includes('/replaced/') && failures++ === 0
        ? { status: 200, body, isDone: false }
        : undefined
    assert.ok(await store.replace(HASH, zstdCompressSync(CONTENT)))
    assert.ok(failures > 0)
    const form = { codec: 'gzip', storedBytes: MEMBER.length } as const
    assert.ok(MEMBER.equals((await store.read(HASH, undefined, { form })).bytes))
  })

  for (const [what, alter] of [
    ['is no list', () => '<html>Sign in to the network</html>'],
    ['ends without its end', (xml: string) => xml.replace('>false<', '>true<')],
    [
      'begins again',
      (xml: string) =>
        xml.replace(
          /<IsTruncated>.*?<.IsTruncated>/,
          '<IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken>',
        ),
    ],
  ] as const)
    it(`takes a list that ${what} for no list of the store`, async () => {
      await using proxy = await openPhaseProxy(gateway().endpoint)
      const store = openStore(throughProxy(proxy, 'listed/'))
      await store.putIfAbsent(HASH, MEMBER)
      let pages = 0
      proxy.alterAnswer = ({ path }, body) => {
        const isAltered = path === '/stampede/' && ++pages < MOST_ROUNDS
        return isAltered ? Buffer.from(alter(body.toString())) : undefined
      }
      await assert.rejects(Array.fromAsync(store.list('')), (err) => {
        assert.ok(err instanceof StoreUnreachableError, String(err))
        assert.match(err.message, /does not answer as S3 does: .*; check AWS_ENDPOINT_URL/)
        return true
      })
    })

  it('waits out an outage of a second or two', async () => {
    await using proxy = await openPhaseProxy(gateway().endpoint)
    const store = openStore(throughProxy(proxy, 'short/'))
    await store.putIfAbsent(HASH, MEMBER)
    let endsAt: number | undefined
    proxy.fault = () => {
      endsAt ??= performance.now() + OUTAGE_MILLISECONDS
      return performance.now() < endsAt ? 'before the request' : undefined
    }
    assert.ok(MEMBER.equals((await store.read(HASH)).bytes))
    assert.ok(endsAt !== undefined && performance.now() >= endsAt)
  })

  it('gives up on a store that takes connections and says nothing', async () => {
    const access = gateway().access('stampede', 'silent/')
    const store = openStore(access)
    const hasty = openStore(access, { idleMilliseconds: 3000 })
    await store.putIfAbsent(HASH, MEMBER)
    gateway().pause()
    try {
      await assert.rejects(hasty.read(HASH), /does not answer: GET .* no answer for 3 s/)
    } finally {
      gateway().resume()
    }
    assert.ok(MEMBER.equals((await store.read(HASH)).bytes))
  })

  it('slows down when it is told to', async () => {
    await gateway().kill()
    // Everything beyond one request at a time is answered 503 SlowDown.
    await gateway().start('--rgw-max-concurrent-requests=1')
    try {
      await using proxy = await openPhaseProxy(gateway().endpoint)
      let refusals = 0
      proxy.alterAnswer = (_exchange, body) => {
        if (body.includes('<Code>SlowDown<')) refusals++
        return undefined
      }
      const store = openStore(throughProxy(proxy, 'slow/'))
      // So few at once that each has its turn, however slow the machine; again until one had to wait for it.
      for (let round = 0; refusals === 0; round++) {
        assert.ok(round < MOST_ROUNDS, 'It was never told to slow down')
        const contents = Array.from({ length: 8 }, (_, index) =>
          Buffer.alloc(4096, `${round} ${index} `),
        )
        await Promise.all(
          contents.map((content) => store.putIfAbsent(sha256(content), gzipSync(content))),
        )
        const found = await store.touch(contents.map((content) => sha256(content)))
        assert.equal(found.size, contents.length)
      }
    } finally {
      await gateway().kill()
      await gateway().start()
    }
  })

  describe('at work', { skip: NEEDS_ROOT }, () => {
    const opened = new AsyncDisposableStack()
    let lab: FaultLab
    let proxy: PhaseProxy
    before(async () => {
      proxy = opened.use(await openPhaseProxy(gateway().endpoint))
      const labEnv = { ...env('lab'), AWS_ENDPOINT_URL: proxy.url }
      lab = opened.use(await openFaultLab({ env: labEnv }))
    })
    after(() => opened.disposeAsync())

    testCells([...s3Outages(gateway), ...s3Refusals(() => proxy)], () => lab)
  })
}
