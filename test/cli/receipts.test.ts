import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { SignedReceipt } from '#protocol/run/receipt.ts'
import { addImage } from '#test/support/named-image.ts'
import { queueRun, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { createShell, type Shell } from './stampede.ts'

describe('stampede runs receipt', () => {
  let app: TestApp
  let shell: Shell
  let id: string
  let receipt: string
  let key: string
  before(async () => {
    app = await openTestApp({ realTime: true, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    shell = createShell(app.port)
    receipt = join(shell.home, 'receipt.json')
    key = join(shell.home, 'key.json')
    await queueRun(app, '52:54:00:00:0e:01')
    const agent = await startAgent(app, '52:54:00:00:0e:01')
    id = agent.run.id
    const now = new Date().toISOString()
    const disk = { path: '/dev/sda', serial: 'S123', sizeBytes: 4096 }
    const proof = { imageVerified: false, bytesWritten: 4096, disk, warnings: [] }
    await agent.result({
      state: 'succeeded',
      receipt: { ...proof, startedAt: now, finishedAt: now },
    })
    const answer = await fetch(`http://127.0.0.1:${app.port}/api/receipt-key`)
    writeFileSync(key, await answer.text())
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })

  it('checks the signature with the key of the server, and saves the receipt', async () => {
    const outcome = await shell.run(['runs', 'receipt', id, '--verify', '--output', receipt])
    assert.equal(outcome.code, 0, outcome.stderr)
    assert.match(outcome.stdout, /S123/)
    assert.match(outcome.stdout, /the signature is right/)
    const shown = await shell.run(['runs', 'receipt', id])
    assert.match(shown.stdout, /not checked here/)
  })

  it('a saved receipt is checked with a key file and no server', async () => {
    const args = ['runs', 'verify-receipt', receipt, '--key', key]
    const outcome = await shell.run(args, { signedOut: true })
    assert.equal(outcome.code, 0, outcome.stderr)
    assert.match(outcome.stdout, /the signature is right/)
    const { pem } = JSON.parse(readFileSync(key, 'utf8')) as { pem: string }
    const pemFile = join(shell.home, 'key.pem')
    writeFileSync(pemFile, pem)
    const byPem = ['runs', 'verify-receipt', receipt, '--key', pemFile]
    assert.equal((await shell.run(byPem, { signedOut: true })).code, 0)
  })

  it('a receipt that was changed, or signed by another, fails', async () => {
    const document = JSON.parse(readFileSync(receipt, 'utf8')) as SignedReceipt
    const changed = join(shell.home, 'changed.json')
    document.receipt.disk!.serial = 'S124'
    writeFileSync(changed, JSON.stringify(document))
    const args = ['runs', 'verify-receipt', changed, '--key', key]
    const outcome = await shell.run(args, { signedOut: true })
    assert.equal(outcome.code, 1)
    assert.match(outcome.stderr, /was changed after it was signed/)

    const other = join(shell.home, 'other.pem')
    const { publicKey } = generateKeyPairSync('ed25519')
    writeFileSync(other, publicKey.export({ type: 'spki', format: 'pem' }))
    const byOther = await shell.run(['runs', 'receipt', id, '--key', other])
    assert.equal(byOther.code, 1)
    assert.match(byOther.stderr, /it may be of another server/)
  })

  it('says what is wrong with a file that is neither', async () => {
    const outcome = await shell.run(['runs', 'verify-receipt', key, '--key', key])
    assert.equal(outcome.code, 2)
    assert.match(outcome.stderr, /is no receipt/)
    const missing = await shell.run(['runs', 'verify-receipt', `${receipt}.gone`])
    assert.equal(missing.code, 2)
    assert.match(missing.stderr, /cannot be read: there is no such file$/m)
    const wrongKey = await shell.run(['runs', 'verify-receipt', receipt, '--key', receipt])
    assert.equal(wrongKey.code, 2)
    assert.match(wrongKey.stderr, /holds no public key/)
  })

  it('of a comparison say what differs, and where', async () => {
    const mac = '52:54:00:00:0e:03'
    const comparison = {
      matches: false,
      chunksCompared: 40,
      chunksDiffering: 4,
      chunksUnreadable: 1,
      chunksUnused: 7,
      differing: [
        { startMib: 0, endMib: 1 },
        { startMib: 5, endMib: 8 },
      ],
      partitions: [
        { number: 1, name: 'EFI', chunksDiffering: 0 },
        { number: 2, name: 'Wurzel äöü', chunksDiffering: 3 },
      ],
      chunksOutside: 1,
    }
    await addImage(app, 'compared')
    await queueRun(app, mac, { workflow: 'verify', image: 'compared' })
    const { run, result } = await startAgent(app, mac)
    const at = new Date().toISOString()
    const proof = { imageVerified: false, warnings: [], startedAt: at, finishedAt: at }
    const answer = await result({
      state: 'failed',
      error: 'The disk differs',
      receipt: { ...proof, comparison },
    })
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    const { stdout } = await shell.run(['runs', 'receipt', run.id])
    assert.match(stdout, /^Compared +40 MiB; 7 MiB of free space left out$/m)
    assert.match(stdout, /^Differ +4 MiB, of which 1 MiB cannot be read$/m)
    assert.match(stdout, /^Where +partition 2 "Wurzel äöü": 3 MiB, outside of partitions: 1 MiB$/m)
    assert.match(stdout, /^At MiB +0, 5–7$/m)
    const shown = await shell.run(['runs', 'show', run.id])
    assert.match(shown.stdout, /^Receipt +.*4 of 40 MiB differ$/m)
  })
})
