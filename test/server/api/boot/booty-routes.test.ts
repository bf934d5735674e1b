import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingMessage, request as httpRequest } from 'node:http'
import { after, before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { eq } from 'drizzle-orm'
import type { AuditEntry } from '#protocol/account.ts'
import type { Image } from '#protocol/image/image-info.ts'
import { parseMac } from '#protocol/mac.ts'
import type { Run, RunDetail, RunRequest } from '#protocol/run/run.ts'
import type { BootyConfig } from '#server/boot/booty.ts'
import * as tables from '#server/db/schema.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { createInventory } from '#test/support/inventory.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const MIB = 1024 * 1024
const DEADLINE_MILLISECONDS = 60_000
const BOOTY = { token: null, headers: { 'user-agent': 'BOOTy-client' } }
const CONTENT = Buffer.concat([randomBytes(MIB), Buffer.alloc(2 * MIB), randomBytes(512)])

describeOnEveryDatabase('BOOTy routes', (_open, database) => {
  let app: TestApp
  let machines = 0
  before(async () => {
    app = await openTestApp({ database })
    const { status } = await app.call('POST', '/api/images/debian', CONTENT)
    assert.equal(status, 201)
  })
  after(() => app[Symbol.asyncDispose]())

  async function queue(request: Omit<RunRequest, 'mac'>): Promise<Run> {
    const mac = `52:54:00:00:b0:${(++machines).toString(16).padStart(2, '0')}`
    await app.call('PUT', `/api/machines/${mac}`, {})
    const answer = await app.call<Run>('POST', '/api/runs', { mac, ...request })
    assert.equal(answer.status, 201, JSON.stringify(answer.body))
    return answer.body
  }

  const configOf = (run: Run, path = (mac: string) => `/${mac}.bty`) =>
    app.call<BootyConfig>('GET', path(run.mac.replaceAll(':', '-')), undefined, BOOTY)
  const findRun = async (run: Run) => (await app.call<RunDetail>('GET', `/api/runs/${run.id}`)).body

  /** What a client is told comes from the end of its transfer, which the server notices a bit later. */
  async function endOf(run: Run): Promise<RunDetail> {
    const deadline = Date.now() + DEADLINE_MILLISECONDS
    for (;;) {
      const found = await findRun(run)
      if (found.finishedAt !== null) return found
      assert.ok(Date.now() < deadline, `The run is still ${found.state}`)
      await sleep(20)
    }
  }

  /** Waits until the run says that more than `bytes` were sent. */
  async function progressOver(run: Run, bytes: number): Promise<number> {
    const deadline = Date.now() + DEADLINE_MILLISECONDS
    for (;;) {
      const step = (await findRun(run)).steps.find(({ name }) => name === 'write-image')!
      if (step.bytesDone > bytes) return step.bytesDone
      assert.ok(Date.now() < deadline, `Only ${step.bytesDone} bytes were reported`)
      await sleep(50)
    }
  }

  /** Waits until the library takes what is sent. */
  async function uploadBegun(): Promise<void> {
    const deadline = Date.now() + DEADLINE_MILLISECONDS
    while ((await app.database.db.select().from(tables.uploads)).length === 0) {
      assert.ok(Date.now() < deadline, 'No upload began')
      await sleep(20)
    }
  }

  const download = async (config: BootyConfig, headers = {}) =>
    fetch(config.sourceImage!, { headers, signal: AbortSignal.timeout(DEADLINE_MILLISECONDS) })

  it('gives no run to whoever only asks for the head of a configuration', async () => {
    const run = await queue({ workflow: 'deploy', image: 'debian' })
    const path = `/${run.mac.replaceAll(':', '-')}.bty`
    assert.equal((await app.call('HEAD', path, undefined, BOOTY)).status, 404)
    assert.equal((await app.call('HEAD', `/booty${path}`, undefined, BOOTY)).status, 404)
    assert.equal((await findRun(run)).state, 'queued')
  })

  it('deploys: the run ends when the image went out whole, and says that it is not verified', async () => {
    const run = await queue({ workflow: 'deploy', image: 'debian', disk: { path: '/dev/vda' } })
    const { status, body: config } = await configOf(run)
    assert.equal(status, 200)
    assert.partialDeepStrictEqual(config, {
      action: 'writeImage',
      compressed: true,
      destinationDevice: '/dev/vda',
    })
    assert.partialDeepStrictEqual(await findRun(run), { state: 'running', claimedBy: 'booty' })

    const response = await download(config)
    assert.equal(response.headers.get('content-encoding'), null)
    const bytes = Buffer.from(await response.arrayBuffer())
    assert.equal(Number(response.headers.get('content-length')), bytes.length)
    assert.ok(gunzipSync(bytes).equals(CONTENT))

    const ended = await endOf(run)
    assert.equal(ended.state, 'succeeded')
    assert.partialDeepStrictEqual(ended.receipt!, {
      delivered: true,
      imageVerified: false,
      imageName: 'debian',
      imageDigest: run.imageDigest!,
      bytesSent: bytes.length,
    })
    assert.equal((await configOf(run)).status, 404, 'the machine is not imaged again')
  })

  it('does not time out while bytes go out, however long that takes', async () => {
    const big = await app.call('POST', '/api/images/big', randomBytes(48 * MIB))
    assert.equal(big.status, 201)
    const run = await queue({ workflow: 'deploy', image: 'big' })
    const { body: config } = await configOf(run)
    const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
      httpRequest(config.sourceImage!, resolve).on('error', reject).end()
    })
    let sent = 0
    for (let i = 0; i < 2; i++) {
      await readBytes(incoming, 8 * MIB)
      sent = await progressOver(run, sent)
      app.clock.advance(9 * 60)
      await app.tick()
      assert.equal((await findRun(run)).state, 'running')
      // A report from before may have come after that was looked at.
      sent = await progressOver(run, -1)
    }
    incoming.destroy()
    app.clock.advance(10 * 60)
    await app.tick()
    assert.equal((await findRun(run)).state, 'timed-out', 'the client is gone')
  })

  it('does not take a part of the image, or only its size, for the whole', async () => {
    const run = await queue({ workflow: 'deploy', image: 'debian' })
    const { body: config } = await configOf(run)
    await fetch(config.sourceImage!, { method: 'HEAD' })
    const part = await download(config, { range: 'bytes=0-99' })
    assert.equal((await part.arrayBuffer()).byteLength, 100)
    await sleep(100)
    assert.equal((await findRun(run)).state, 'running')
  })

  it('says in log and receipt when it had to guess the disk', async () => {
    const run = await queue({ workflow: 'deploy', image: 'debian' })
    const { body: config } = await configOf(run)
    assert.equal(config.destinationDevice, '/dev/sda')
    assert.match(
      (await findRun(run)).log.map(({ text }) => text).join('\n'),
      /told to use \/dev\/sda/,
    )
    await (await download(config)).arrayBuffer()
    assert.match((await endOf(run)).receipt!.warnings.join('\n'), /told to use \/dev\/sda/)
  })

  it('captures what BOOTy posts, closing boundary twice and all', async () => {
    const run = await queue({ workflow: 'capture', image: 'captured', disk: { path: '/dev/vda' } })
    const { body: config } = await configOf(run)
    assert.partialDeepStrictEqual(config, { action: 'readImage', sourceDevice: '/dev/vda' })
    await post(config.desintationAddress!, gzipSync(CONTENT))
    const ended = await endOf(run)
    assert.equal(ended.state, 'succeeded')
    const { body: image } = await app.call<Image>('GET', '/api/images/captured')
    assert.equal(image.sizeBytes, CONTENT.length)
    assert.partialDeepStrictEqual(ended.receipt!, {
      imageName: 'captured',
      imageDigest: image.digest,
      imageVerified: false,
    })
    const audit = await app.call<{ items: AuditEntry[] }>('GET', '/api/audit?target=captured')
    assert.partialDeepStrictEqual(audit.body.items, [
      {
        actor: { kind: 'agent', name: run.mac },
        action: 'image.upload',
        target: { kind: 'image', id: 'captured' },
        status: 201,
        details: { run: run.id },
      },
    ])
  })

  it('fails a capture that holds less than the disk of the inventory', async () => {
    const run = await queue({ workflow: 'capture', image: 'half' })
    const inventory = createInventory() // with a disk of 20 GiB
    const where = eq(tables.machines.mac, parseMac(run.mac))
    await app.database.db.update(tables.machines).set({ inventory }).where(where)
    const { body: config } = await configOf(run)
    await post(config.desintationAddress!, gzipSync(CONTENT))
    const ended = await endOf(run)
    assert.equal(ended.state, 'failed')
    assert.match(ended.error!, /holds 3146240 bytes, but the last inventory says .* 21474836480/)
    assert.equal((await app.call('GET', '/api/images/half')).status, 404)
  })

  it('fails a capture whose upload is cut short, and makes no image of it', async () => {
    const run = await queue({ workflow: 'capture', image: 'broken' })
    const { body: config } = await configOf(run)
    await post(config.desintationAddress!, gzipSync(CONTENT).subarray(0, 500_000))
    const ended = await endOf(run)
    assert.equal(ended.state, 'failed')
    assert.match(ended.error!, /^The upload from BOOTy failed: /)
    assert.equal((await app.call('GET', '/api/images/broken')).status, 404)
  })

  it('is found at / and /booty/, with doubled slashes and any spelling of the MAC', async () => {
    const run = await queue({ workflow: 'deploy', image: 'debian' })
    const paths = [
      (mac: string) => `//${mac}.bty`,
      (mac: string) => `/booty/${mac.toUpperCase()}.bty`,
      (mac: string) => `/booty//${mac.replaceAll('-', ':')}.bty`,
    ]
    for (const path of paths) assert.equal((await configOf(run, path)).status, 200)
    assert.equal((await configOf(run)).status, 200)
    // No machine boots that often within half a minute, but later each is a boot, and three are the most.
    assert.equal((await findRun(run)).attempts, 1)
    for (const attempts of [2, 3]) {
      app.clock.advance(30)
      assert.equal((await configOf(run)).status, 200)
      assert.equal((await findRun(run)).attempts, attempts)
    }
    app.clock.advance(30)
    assert.equal((await configOf(run)).status, 404)
    assert.equal((await findRun(run)).error, 'Booted 3 times, never finished')
  })

  it('has nothing to do for machines without a run, or with one that is not for it', async () => {
    const wipe = await queue({ workflow: 'wipe' })
    assert.equal((await configOf(wipe)).status, 404)
    assert.partialDeepStrictEqual(await findRun(wipe), { state: 'queued', claimedBy: null })
    for (const path of ['/52-54-00-00-ff-ff.bty', '/booty/x.bty', '/x.bty', '/booty/'])
      assert.equal((await app.call('GET', path, undefined, BOOTY)).status, 404)
  })

  it('gives nothing to a locked machine, or for a disk that is too small', async () => {
    const small = await queue({ workflow: 'deploy', image: 'debian' })
    const inventory = createInventory()
    inventory.disks[0]!.sizeBytes = CONTENT.length - 512
    const where = eq(tables.machines.mac, parseMac(small.mac))
    await app.database.db.update(tables.machines).set({ inventory }).where(where)
    const locked = await queue({ workflow: 'deploy', image: 'debian' })
    await app.call('PATCH', `/api/machines/${locked.mac}`, { locked: true })
    for (const run of [small, locked]) {
      assert.equal((await configOf(run)).status, 404)
      assert.partialDeepStrictEqual(await findRun(run), { state: 'queued', claimedBy: null })
    }
  })

  it('gives nothing for a disk that is too small for what the run pinned, whatever the name means now', async () => {
    assert.equal((await app.call('POST', '/api/images/moved', CONTENT)).status, 201)
    const small = await queue({ workflow: 'deploy', image: 'moved' })
    const inventory = createInventory()
    inventory.disks[0]!.sizeBytes = CONTENT.length - 512
    const where = eq(tables.machines.mac, parseMac(small.mac))
    await app.database.db.update(tables.machines).set({ inventory }).where(where)
    const next = CONTENT.subarray(0, MIB)
    assert.equal((await app.call('POST', '/api/images/moved', next)).status, 201)
    assert.equal((await configOf(small)).status, 404)
    assert.partialDeepStrictEqual(await findRun(small), { state: 'queued', claimedBy: null })
  })

  it('lets no machine write what its run was cancelled for meanwhile', async () => {
    const run = await queue({ workflow: 'deploy', image: 'debian' })
    const { body: config } = await configOf(run)
    assert.equal((await app.call('POST', `/api/runs/${run.id}/cancel`)).status, 200)
    assert.equal((await download(config)).status, 404)
    app.clock.advance(60)
    await app.tick()
    assert.equal((await findRun(run)).state, 'cancelled')
    assert.equal((await download(config)).status, 404)
  })

  it('makes no image of a capture that was cancelled, before or while it came', async () => {
    assert.equal((await app.call('POST', '/api/images/golden', CONTENT)).status, 201)
    const { body: golden } = await app.call<Image>('GET', '/api/images/golden')
    const late = await queue({ workflow: 'capture', image: 'golden' })
    const { body: lateConfig } = await configOf(late)
    await app.call('POST', `/api/runs/${late.id}/cancel`)
    app.clock.advance(60)
    await app.tick()
    await post(lateConfig.desintationAddress!, gzipSync(randomBytes(MIB)))
    assert.equal((await findRun(late)).state, 'cancelled')

    const run = await queue({ workflow: 'capture', image: 'golden' })
    const { body: config } = await configOf(run)
    const whole = gzipSync(randomBytes(2 * MIB))
    const sending = httpRequest(config.desintationAddress!, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
    })
    const answered = new Promise<IncomingMessage>((resolve, reject) =>
      sending.on('response', resolve).on('error', reject),
    )
    sending.write(whole.subarray(0, MIB))
    await uploadBegun()
    assert.equal((await app.call('POST', `/api/runs/${run.id}/cancel`)).status, 200)
    sending.end(whole.subarray(MIB))
    assert.equal((await answered).statusCode, 404)
    assert.equal((await endOf(run)).state, 'cancelled')
    const { body: image } = await app.call<Image>('GET', '/api/images/golden')
    assert.deepEqual([image.version, image.digest], [golden.version, golden.digest])
  })

  it('leaves the run alone when someone else asks', async () => {
    const run = await queue({ workflow: 'deploy', image: 'debian' })
    const path = `/${run.mac.replaceAll(':', '-')}.bty`
    assert.equal((await app.call('GET', path, undefined, { token: null })).status, 404)
    const { headers } = BOOTY
    const stranger = { url: path, headers, remoteAddress: '203.0.113.9' }
    assert.equal((await app.http.inject(stranger)).statusCode, 404)
    const proxied = { ...headers, 'x-forwarded-for': '203.0.113.9' }
    const throughProxy = { url: path, headers: proxied, remoteAddress: '127.0.0.1' }
    assert.equal((await app.http.inject(throughProxy)).statusCode, 404)
    assert.equal((await findRun(run)).state, 'queued')
  })
})

it('BOOTy, which has no DNS, gets links with an address', async () => {
  await using app = await openTestApp({ env: { STAMPEDE_URL: 'http://stampede.example:8080' } })
  const mac = '52:54:00:00:b1:02'
  await app.call('PUT', `/api/machines/${mac}`, {})
  await app.call('POST', '/api/runs', { mac, workflow: 'capture', image: 'x' })
  const { body } = await app.call<BootyConfig>('GET', `/${mac}.bty`, undefined, BOOTY)
  assert.match(body.desintationAddress!, /^http:\/\/127\.0\.0\.1:8080\/l\//)
})

it('BOOTy has no routes when it is off', async () => {
  await using app = await openTestApp({ env: { STAMPEDE_BOOTY: 'off' } })
  const mac = '52:54:00:00:b1:01'
  await app.call('PUT', `/api/machines/${mac}`, {})
  await app.call('POST', '/api/runs', { mac, workflow: 'capture', image: 'x' })
  assert.equal((await app.call('GET', `/${mac}.bty`, undefined, BOOTY)).status, 404)
})

/** As BOOTy does: one part, no length, and the closing boundary twice. */
async function post(url: string, content: Uint8Array): Promise<number> {
  const boundary = 'booty-boundary'
  const outgoing = httpRequest(url, {
    method: 'POST',
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'transfer-encoding': 'chunked',
    },
    signal: AbortSignal.timeout(DEADLINE_MILLISECONDS),
  })
  outgoing.write(
    `--${boundary}\r\nContent-Disposition: form-data; name="BootyImage"; filename="52:54:00.zmg"\r\n` +
      'Content-Type: application/octet-stream\r\n\r\n',
  )
  outgoing.write(content)
  outgoing.end(`\r\n--${boundary}--\r\n\r\n--${boundary}--\r\n`)
  const [response] = await once(outgoing, 'response')
  response.resume()
  return response.statusCode
}

/** Reads so much and then no more: the server has to wait. */
async function readBytes(incoming: IncomingMessage, bytes: number): Promise<void> {
  for (let left = bytes; left > 0;) {
    const chunk = incoming.read() as Buffer | null
    if (chunk) left -= chunk.length
    else await once(incoming, 'readable', { signal: AbortSignal.timeout(DEADLINE_MILLISECONDS) })
  }
}
