import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import { receiptBytes, type ReceiptKey, type SignedReceipt } from '#protocol/run/receipt.ts'
import type { Receipt } from '#protocol/run/run.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'
import { queueRun, readRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'

const RECEIPT: Receipt = {
  imageVerified: false,
  disk: { path: '/dev/sda', serial: 'S1', wwn: 'eui.01', model: 'Modell "Größe"', sizeBytes: 4096 },
  bytesWritten: 4096,
  bytesSkipped: 0,
  durations: { writeSeconds: 0.073, compareSeconds: 1e-7 },
  warnings: ['Zeile mit ü, \u20ac und \u0007'],
  startedAt: '2026-05-01T12:00:00.000Z',
  finishedAt: '2026-05-01T12:01:00.000Z',
}

describeOnEveryDatabase('receipts', (_open, database) => {
  let app: TestApp
  const lines: string[] = []
  before(async () => {
    const env = { STAMPEDE_TRUST_RELAYED: '1' }
    app = await openTestApp({ database, env, onLog: (line) => lines.push(line) })
  })
  after(() => app[Symbol.asyncDispose]())

  const readKey = async () =>
    (await app.call<ReceiptKey>('GET', '/api/receipt-key', undefined, { token: null })).body

  async function endedRun(mac: string, receipt: Receipt = RECEIPT): Promise<string> {
    await queueRun(app, mac)
    const agent = await startAgent(app, mac)
    const { status } = await agent.result({ state: 'succeeded', receipt })
    assert.equal(status, 200)
    return agent.run.id
  }

  function isGenuine(document: SignedReceipt, key: ReceiptKey): boolean {
    const { x, kty, crv } = key
    const publicKey = createPublicKey({ key: { x, kty, crv }, format: 'jwk' })
    const value = Buffer.from(document.signature!.value, 'base64url')
    return verify(null, receiptBytes(document), publicKey, value)
  }

  it('are signed by the key that anyone may read, over the run and all it proves', async () => {
    const id = await endedRun('52:54:00:00:0d:01')
    const answer = await app.call<SignedReceipt>('GET', `/api/runs/${id}/receipt`)
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-disposition')!, new RegExp(`receipt-${id}.json`))
    const key = await readKey()
    const { body } = answer
    assert.deepEqual(body.receipt, RECEIPT)
    const run = { id, mac: '52:54:00:00:0d:01', workflow: 'wipe', state: 'succeeded', attempt: 1 }
    assert.deepEqual(body.run, run)
    assert.equal(body.signature!.keyId, key.kid)
    assert.ok(isGenuine(body, key))
    assert.equal(createPublicKey(key.pem).export({ format: 'jwk' }).x, key.x)
    assert.deepEqual((await readRun(app, id)).receipt, { ...RECEIPT, signature: body.signature })

    for (const forged of [
      { ...body, run: { ...body.run, mac: '52:54:00:00:0d:02' } },
      { ...body, run: { ...body.run, attempt: 2 } },
      { ...body, receipt: { ...RECEIPT, imageVerified: true } },
      { ...body, receipt: { ...RECEIPT, imageDigest: 'a'.repeat(64) } },
    ])
      assert.ok(!isGenuine(forged, key))
  })

  it('hold no signature of the agent, nor anything that the schema does not know', async () => {
    const signature = { keyId: 'mine', algorithm: 'ed25519', value: 'AAAA' } as const
    const more = { ...RECEIPT, signature, note: 'trust me' }
    const id = await endedRun('52:54:00:00:0d:03', more)
    const { body } = await app.call<SignedReceipt>('GET', `/api/runs/${id}/receipt`)
    const key = await readKey()
    assert.equal(body.signature!.keyId, key.kid)
    assert.ok(!('note' in body.receipt))
    assert.ok(isGenuine(body, key))
  })

  it('are none of a run that is not over', async () => {
    const run = await queueRun(app, '52:54:00:00:0d:04')
    type Refusal = { error: { code: string } }
    const { status, body } = await app.call<Refusal>('GET', `/api/runs/${run.id}/receipt`)
    assert.equal(status, 404)
    assert.equal(body.error.code, 'no-receipt')
  })

  it('the private key is for the owner of the data folder alone, or in the shared database', async () => {
    const path = join(app.dataFolder, 'receipt-key.pem')
    if (database === 'postgres') {
      await assert.rejects(stat(path), { code: 'ENOENT' })
      const rows = await app.database.db.query.signingKeys.findMany()
      assert.ok(rows.some(({ purpose }) => purpose === 'receipts'))
    } else {
      assert.equal((await stat(path)).mode & 0o777, 0o600)
      const [, secret] = (await readFile(path, 'utf8')).split('\n')
      assert.ok(secret && !lines.some((line) => line.includes(secret)))
    }
  })
})
