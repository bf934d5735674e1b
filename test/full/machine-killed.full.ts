import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { mkdtempDisposable, open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Run, RunDetail } from '#protocol/run/run.ts'
import { run as runCommand } from '#lab/command.ts'
import type { Disk } from '#lab/disk.ts'
import { goldenImage } from '#lab/golden-images.ts'
import type { Machine } from '#lab/machine.ts'
import { createLabDisk, openLab, openLabMachine, runToSuccess } from '#lab/scenario.ts'
import type { Lab } from '#lab/scenario.ts'
import { createShell, type Shell } from '#test/cli/stampede.ts'
import { assertVerified, TARGET_BYTES } from '#test/support/installed-system.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { findHeld, readStoredImage, storedLength, type StoredImage } from './stored-image.ts'

const NAME = 'killed'
const MAC = '52:54:00:5a:03:01'
const IMAGE = 'golden-b'
/** As much is written or read back, of what has content; reading back comes later. */
const KILLED_AT_SHARE = 0.6
const UPLOAD_TIMEOUT_MS = 5 * 60_000
const RUN_DEADLINE_MS = 20 * 60_000
const POWEROFF_DEADLINE_MS = 3 * 60_000
/** The manifest, and the one segment each time that it is read. */
const FETCHED_BESIDE_BYTES = CHUNK_BYTES

/** One machine: each test goes on with the disk that the one before it left. */
describe('a machine that loses its power while it is deployed', { skip: NEEDS_ROOT }, () => {
  const opened = new AsyncDisposableStack()
  let lab: Lab
  let disk: Disk
  let image: StoredImage
  let shell: Shell

  before(async () => {
    const golden = await goldenImage('b', (message) => process.stderr.write(`${message}\n`))
    const folder = opened.use(await mkdtempDisposable(join(tmpdir(), 'stampede-killed-')))
    lab = opened.use(await openLab(folder.path))
    await upload(lab, golden)
    image = await readStoredImage(lab.server.api, IMAGE)
    const content = { blankBytes: TARGET_BYTES }
    disk = await createLabDisk(lab, { machine: NAME, bus: 'virtio', content })
    shell = opened.use(createShell(Number(new URL(lab.server.api.url).port)))
  })
  after(() => opened[Symbol.asyncDispose]())

  it('carries on at its next boot, and fetches nothing that was written already', async () => {
    // A name that is none of a host: so the disk becomes the image and nothing else.
    await lab.server.api.put(`/api/machines/${MAC}`, { name: '*' })
    const options = { grow: false, identity: 'keep', after: 'poweroff' } as const
    const request = { mac: MAC, workflow: 'deploy', image: IMAGE, ...options } as const
    const { id } = await lab.server.api.startRun(request)
    await killWhileWriting(id)
    const held = await findHeld(disk.file, image)
    const missing = image.data.filter((chunk) => !held.includes(chunk))
    assert.ok(held.length > 0 && missing.length > 0, `${held.length} chunks were written by then`)
    const missingBytes = await storedLength(lab.server.api, missing)
    console.log(`${held.length} of ${image.data.length} chunks were written when it was killed`)

    await using machine = await boot()
    const run = await runToSuccess(lab, machine, id)
    assertVerified(run)
    assert.equal(run.attempts, 2)
    const { bytesFetched = Infinity, bytesSkipped = 0 } = run.receipt!
    assert.ok(
      bytesFetched <= missingBytes + FETCHED_BESIDE_BYTES,
      `${bytesFetched} bytes were fetched, and ${missingBytes} were missing`,
    )
    assert.ok(bytesSkipped >= held.length * CHUNK_BYTES, `${bytesSkipped} bytes were skipped`)
    const { log } = await lab.server.api.get<RunDetail>(`/api/runs/${id}`)
    assert.ok(log.some(({ text }) => /The disk holds (most|a part) of the image/.test(text)))
    await poweredOff(machine)
    const files = [await goldenImage('b'), disk.file]
    await runCommand('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', ...files])
  })

  it('holds the image, as `stampede verify` says', async () => {
    const { code, stdout } = await verify()
    assert.equal(code, 0, stdout)
    assert.match(stdout, /every byte verified/)
  })

  it('does not hold it once a byte of the disk changed, and the command says where', async () => {
    const { place } = image.data[Math.floor(image.data.length / 2)]!
    await changeByte(disk.file, place * CHUNK_BYTES + 4321)
    const { code, stdout, run } = await verify()
    assert.notEqual(code, 0, stdout)
    assert.match(stdout, /differs from the image in 1 of \d+ MiB/)
    assert.match(stdout, new RegExp(`at MiB ${place}\\b`))
    assert.equal(run.state, 'failed')
    assert.partialDeepStrictEqual(run.receipt?.comparison, {
      matches: false,
      chunksDiffering: 1,
      chunksUnreadable: 0,
      differing: [{ startMib: place, endMib: place + 1 }],
    })
  })

  function boot(): Promise<Machine> {
    return openLabMachine(lab, { name: NAME, mac: MAC, firmware: 'bios', disks: [disk] })
  }

  async function killWhileWriting(id: string): Promise<void> {
    await using machine = await boot()
    const isOver = new AbortController()
    const ended = lab.server.api.waitForRun(id, {
      deadlineMs: RUN_DEADLINE_MS,
      signal: isOver.signal,
      onProgress({ steps }) {
        const write = steps.find(({ name }) => name === 'write-image')
        if (write && write.bytesDone > KILLED_AT_SHARE * image.data.length * CHUNK_BYTES)
          isOver.abort(new Error('It is time'))
      },
    })
    await assert.rejects(ended, /It is time/, await machine.console.tail())
    await machine.kill()
    assert.equal((await lab.server.api.get<Run>(`/api/runs/${id}`)).state, 'running')
  }

  /** The command waits for the machine, which boots, compares and powers itself off. */
  async function verify(): Promise<{ code: number | null; stdout: string; run: Run }> {
    const env = { STAMPEDE_TOKEN: lab.server.api.token }
    const running = shell.start(['verify', MAC, '--image', IMAGE, '--poweroff'], {
      input: '',
      env,
      timeoutMilliseconds: RUN_DEADLINE_MS,
    })
    await running.waitFor('waits for the next boot')
    await using machine = await boot()
    const { code, stdout, stderr } = await running.ended
    await poweredOff(machine)
    const path = `/api/runs?mac=${MAC}`
    const { items } = await lab.server.api.get<{ items: Run[] }>(path)
    return { code, stdout: stdout + stderr, run: items.find((r) => r.workflow === 'verify')! }
  }
})

async function poweredOff(machine: Machine): Promise<void> {
  const timeout = AbortSignal.timeout(POWEROFF_DEADLINE_MS)
  const late = new Promise<never>((_, reject) => {
    timeout.onabort = () => reject(new Error(`Machine "${machine.name}" did not power off`))
  })
  await Promise.race([machine.ended, late])
}

async function upload(lab: Lab, golden: string): Promise<void> {
  const { url, token } = lab.server.api
  const response = await fetch(new URL(`/api/images/${IMAGE}`, url), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: createReadStream(golden),
    duplex: 'half',
    signal: AbortSignal.timeout(UPLOAD_TIMEOUT_MS),
  })
  assert.equal(response.status, 201, await response.text())
}

async function changeByte(file: string, at: number): Promise<void> {
  await using disk = await open(file, 'r+')
  const byte = Buffer.alloc(1)
  await disk.read(byte, 0, 1, at)
  byte[0]! ^= 1
  await disk.write(byte, 0, 1, at)
}
