import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes, sign } from 'node:crypto'
import { once } from 'node:events'
import { readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDevice } from '#agent/disk/device.ts'
import { exec } from '#agent/exec.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { receiptBytes, type SignedReceipt } from '#protocol/run/receipt.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { openPhaseProxy, type PhaseProxy } from '#test/support/phase-proxy.ts'
import { openServerProcess, type ServerProcess } from '#test/support/server-process.ts'

const MAIN = resolve(import.meta.dirname, '../../agent/main.ts')
const NO_ROOM = 'What goes to standard output cannot be written'
const DISK_BYTES = 96 * CHUNK_BYTES
const SECTORS_OF_CHUNK = CHUNK_BYTES / 512
/** Of the 88 that are not zero; by then some are written, or will be soon. */
const HELD_CHUNK = 60
const WRITTEN_CHUNKS = 10

describe('stampede-agent on any Linux', { skip: NEEDS_ROOT }, () => {
  let server: ServerProcess
  let source: LoopDevice
  before(async () => {
    server = await openServerProcess()
    const content = randomBytes(DISK_BYTES)
    content.fill(0, 4 * CHUNK_BYTES, 12 * CHUNK_BYTES)
    source = await openLoopDevice({ content })
  })
  after(async () => {
    await source[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  })

  function start(args: string[], token = server.token) {
    const child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...process.env, STAMPEDE_TOKEN: token },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const output = { stdout: '', stderr: '' }
    child.stdout.on('data', (text) => (output.stdout += String(text)))
    child.stderr.on('data', (text) => (output.stderr += String(text)))
    const ended = once(child, 'close').then(([exitCode]) => ({ exitCode, ...output }))
    return { child, ended, output }
  }

  const common = (disk: LoopDevice, { url }: { url: string } = server) => [
    '--disk',
    disk.path,
    '--server',
    url,
    '--image',
    'golden',
  ]

  /** Does something in the middle of a deployment, which gets a chunk that is still to come only after it. */
  function inTheMiddle(
    proxy: PhaseProxy,
    { file }: LoopDevice,
    act: () => Promise<unknown>,
  ): Promise<unknown> {
    const done = Promise.withResolvers<unknown>()
    let chunks = 0
    proxy.hold = async ({ path }) => {
      if (!path.startsWith('/chunks/') || ++chunks !== HELD_CHUNK) return
      while ((await stat(file)).blocks < WRITTEN_CHUNKS * SECTORS_OF_CHUNK) await sleep(2)
      await act().then(done.resolve, done.reject)
    }
    return done.promise
  }

  it('says that its output finds no room, as on a full disk', async () => {
    const child = spawn('bash', ['-c', '"$0" "$1" --help >/dev/full', process.execPath, MAIN])
    let stderr = ''
    child.stderr.on('data', (text) => (stderr += String(text)))
    const [exitCode] = await once(child, 'close')
    assert.deepEqual([exitCode, stderr.split(':')[0]], [1, NO_ROOM], stderr)
  })

  it('captures a disk', async () => {
    const { exitCode, stdout, stderr } = await start(['capture', ...common(source)]).ended
    assert.equal(exitCode, 0, stderr)
    assert.partialDeepStrictEqual(JSON.parse(stdout), { imageName: 'golden' })
    const url = `${server.url}/api/images/golden`
    const headers = { authorization: `Bearer ${server.token}` }
    const image: unknown = await (await fetch(url, { headers })).json()
    assert.partialDeepStrictEqual(image, { sizeBytes: DISK_BYTES, sectorBytes: 512 })
  })

  it('deploys it byte for byte to another', async () => {
    await using target = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const { exitCode, stdout, stderr } = await start(['deploy', '--yes', ...common(target)]).ended
    assert.equal(exitCode, 0, stderr)
    assert.partialDeepStrictEqual(JSON.parse(stdout), { imageVerified: true })
    assert.equal(await target.digest(), await source.digest())
    assert.doesNotMatch(stderr, /not used/)
  })

  it('says what of a larger disk is not used, whose partitions it does not grow', async () => {
    await using target = await openLoopDevice({ sizeBytes: DISK_BYTES + 32 * CHUNK_BYTES })
    const { exitCode, stderr } = await start(['deploy', '--yes', ...common(target)]).ended
    assert.equal(exitCode, 0, stderr)
    assert.match(stderr, new RegExp(`The last 33\\.6 MB of ${target.path} are not used`))
  })

  it('writes to the disk that somebody said yes to, and to none that took its path meanwhile', async () => {
    await using shown = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const command = [process.execPath, MAIN, 'deploy', ...common(shown)].join(' ')
    // Asked at a terminal only.
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      env: { ...process.env, STAMPEDE_TOKEN: server.token },
    })
    const ended = once(child, 'close')
    let output = ''
    child.stdout.on('data', (text) => (output += String(text)))
    while (!output.includes('Type "erase"')) {
      assert.equal(child.exitCode, null, output)
      await sleep(50)
    }
    // What tells one stick from the next here; its number could go to somebody else's.
    await truncate(shown.file, DISK_BYTES + CHUNK_BYTES)
    await exec('losetup', ['--set-capacity', shown.path])
    const precious = await shown.digest()
    child.stdin.write('erase\n')
    const [exitCode] = await ended
    assert.equal(exitCode, 1, output)
    assert.match(output, /was changed since it was looked at, so nothing was written/)
    assert.equal(await shown.digest(), precious)
  })

  it('compares a disk with an image or a receipt, writes nothing, and says where it differs', async () => {
    await using disk = await openLoopDevice({ content: await source.content(), partitions: true })
    const verify = (...more: string[]) =>
      start(['verify', '--disk', disk.path, '--server', server.url, ...more]).ended
    const same = await verify('--image', 'golden')
    assert.equal(same.exitCode, 0, same.stderr)
    assert.match(same.stdout, /96 MiB compared, all the same/)

    const content = await source.content()
    for (const place of [5, 40, 41]) content[place * CHUNK_BYTES + 7]! ^= 1
    await using other = await openLoopDevice({ content })
    const headers = { authorization: `Bearer ${server.token}` }
    const image = await fetch(`${server.url}/api/images/golden`, { headers })
    const { digest } = (await image.json()) as { digest: string }
    const receipt = `${disk.file}.receipt`
    await writeFile(receipt, JSON.stringify({ receipt: { imageDigest: digest } }))
    // As a mount holds it.
    await using holder = await openDevice(other.path, 'read')
    const args = ['verify', '--disk', other.path, '--server', server.url, '--receipt', receipt]
    const differs = await start([...args, '--json']).ended
    assert.equal(differs.exitCode, 1)
    assert.partialDeepStrictEqual(JSON.parse(differs.stdout), {
      matches: false,
      chunksCompared: 96,
      chunksDiffering: 3,
      differing: [
        { startMib: 5, endMib: 6 },
        { startMib: 40, endMib: 42 },
      ],
      chunksOutside: 3,
    })
    const told = await start(args).ended
    assert.match(told.stdout, /differs from the image in 3 of 96 MiB/)
    assert.match(told.stdout, /at MiB 5, 40–41/)
    assert.ok(holder)
    assert.ok((await other.content()).equals(content))
    assert.equal((await verify()).exitCode, 2)
  })

  it('understands its arguments before it reads the disk, and says what is wrong with them', async () => {
    const wrong = async (command: string, ...more: string[]) => {
      const disk = ['--disk', source.path, '--server', server.url]
      return await start([command, ...disk, '--image', 'golden', ...more]).ended
    }
    for (const url of ['127.0.0.1:8080', 'ftp://192.0.2.1']) {
      const { exitCode, stderr } = await wrong('capture', '--server', url)
      assert.equal(exitCode, 2)
      assert.match(stderr, /must be a URL such as/)
    }
    const named = await wrong('capture', '--image', 'Bad Name')
    assert.equal(named.exitCode, 2)
    assert.match(named.stderr, /A name has up to 128/)
    const gone = await wrong('capture', '--disk', '/dev/no-such-disk')
    assert.deepEqual(
      [gone.exitCode, gone.stderr],
      [1, 'Disk "/dev/no-such-disk" cannot be opened: it is not there; "lsblk" lists disks\n'],
    )
  })

  it('takes a receipt only as its server signed it', async () => {
    const headers = { authorization: `Bearer ${server.token}` }
    const json = async (path: string) =>
      (await (await fetch(server.url + path, { headers })).json()) as Record<string, string>
    const { digest } = await json('/api/images/golden')
    const { kid } = await json('/api/receipt-key')
    const path = `${source.file}.receipt`
    const verify = async (text: string) => {
      await writeFile(path, text)
      const args = ['verify', '--disk', source.path, '--server', server.url, '--receipt', path]
      return await start(args).ended
    }
    const run = {
      id: 'x',
      mac: '52:54:00:12:34:56',
      workflow: 'deploy',
      state: 'succeeded',
      attempt: 1,
    }
    const at = new Date().toISOString()
    const times = { agentVersion: '1', startedAt: at, finishedAt: at, warnings: [] }
    const receipt = { imageDigest: digest, imageVerified: true, ...times }
    const signed = (keyId: string) => {
      const signature = { keyId, algorithm: 'ed25519', value: 'A'.repeat(86) }
      const mediaType = 'application/vnd.stampede.receipt.v1+json'
      return JSON.stringify({ mediaType, run, receipt, signature })
    }
    const cases: [text: string, message: RegExp][] = [
      [signed(kid!), /was changed after it was signed/],
      [signed('b'.repeat(43)), /signed with key b+, and this server's is/],
      ['null', /is no receipt of a deployment: imageDigest.* is missing/],
      ['{', /is no receipt of a deployment: it is no JSON/],
    ]
    for (const [text, message] of cases) {
      const { exitCode, stdout, stderr } = await verify(text)
      assert.deepEqual([exitCode, stdout], [1, ''])
      assert.match(stderr, message)
    }
    const key = await readFile(join(server.dataFolder, 'receipt-key.pem'), 'utf8')
    const document = JSON.parse(signed(kid!)) as SignedReceipt
    document.signature!.value = sign(null, receiptBytes(document), key).toString('base64url')
    const right = await verify(JSON.stringify(document))
    assert.equal(right.exitCode, 0, right.stderr)
    assert.doesNotMatch(right.stderr, /not signed/)
    const unsigned = await verify(JSON.stringify({ receipt }))
    assert.equal(unsigned.exitCode, 0)
    assert.match(unsigned.stderr, /is not signed as a server signs it/)
  })

  it('goes on when the server was killed in the middle and comes back', async () => {
    await using target = await openLoopDevice({ sizeBytes: DISK_BYTES })
    await using proxy = await openPhaseProxy(server.url)
    const killed = inTheMiddle(proxy, target, () => server.kill())
    const { child, ended, output } = start(['deploy', '--yes', ...common(target, proxy)])
    await Promise.race([killed, ended])
    assert.equal(child.exitCode, null, output.stderr)
    // It is said only of a server that is away for a while.
    while (!output.stderr.includes('Waiting for the server') && child.exitCode === null)
      await sleep(20)
    await server.start()
    const { exitCode, stderr } = await ended
    assert.equal(exitCode, 0, stderr)
    assert.match(stderr, /Waiting for the server.*\n(.*\n)*The server answers again/)
    assert.equal(await target.digest(), await source.digest())
  })

  it('erases nothing unasked where nobody can be asked', async () => {
    await using target = await openLoopDevice({ content: randomBytes(DISK_BYTES) })
    const before = await target.digest()
    const { exitCode, stderr } = await start(['deploy', ...common(target)]).ended
    assert.equal(exitCode, 1)
    assert.match(stderr, /say --yes/)
    assert.equal(await target.digest(), before)
  })

  it('refuses a disk that is too small, and says so', async () => {
    await using target = await openLoopDevice({ content: randomBytes(CHUNK_BYTES) })
    const before = await target.digest()
    const { exitCode, stderr } = await start(['deploy', '--yes', ...common(target)]).ended
    assert.equal(exitCode, 1)
    assert.match(stderr, /choose another disk or image/)
    assert.equal(await target.digest(), before)
  })

  it('tells an unknown image, a wrong token and a wrong call apart', async () => {
    const unknown = await start(['deploy', '--yes', ...common(source).with(-1, 'absent')]).ended
    assert.equal(unknown.exitCode, 1)
    assert.match(unknown.stderr, /no image "absent"/)
    const refused = await start(['deploy', '--yes', ...common(source)], 'wrong').ended
    assert.equal(refused.exitCode, 1)
    assert.match(refused.stderr, /401/)
    const partition = await start(['capture', ...common(source).with(1, '/dev/null')]).ended
    assert.match(partition.stderr, /"\/dev\/null" is no disk/)
    assert.equal((await start(['deploy']).ended).exitCode, 2)
  })

  it('stops when it is interrupted, and leaves no bootable disk', async () => {
    await using target = await openLoopDevice({ sizeBytes: DISK_BYTES })
    await using proxy = await openPhaseProxy(server.url)
    const { child, ended } = start(['deploy', '--yes', ...common(target, proxy)])
    const isOver = inTheMiddle(proxy, target, () => {
      child.kill('SIGINT')
      return ended
    })
    const { exitCode, stderr } = await ended
    assert.equal(exitCode, 1, stderr)
    assert.match(stderr, /stopped by SIGINT/)
    await isOver
    const content = await target.content()
    assert.ok(content.subarray(0, CHUNK_BYTES).equals(Buffer.alloc(CHUNK_BYTES)))
  })
})
