import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gunzipSync, gzipSync } from 'node:zlib'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import type { Image } from '#protocol/image/image-info.ts'
import { cleanEnvironment } from '#test/support/clean-environment.ts'
import { putEmbeddedDatabase } from '#test/support/database.ts'
import { diskContent, MIB } from '#test/support/disk-content.ts'
import { ADMIN_TOKEN, openTestApp, type TestApp } from '#test/support/test-app.ts'

const MAIN = new URL('../../../server/main.ts', import.meta.url).pathname
const DEADLINE_MILLISECONDS = 60_000
const DISK = diskContent()
const authorization = `Bearer ${ADMIN_TOKEN}`

interface Server extends AsyncDisposable {
  url: string
  kill: () => Promise<void>
}

/** The real program, to be killed as a power cut would. */
async function startServer(dataFolder: string): Promise<Server> {
  const child = spawn(process.execPath, [MAIN], {
    env: cleanEnvironment({
      STAMPEDE_DATA: dataFolder,
      STAMPEDE_HTTP: '127.0.0.1:0',
      STAMPEDE_DHCP: 'off',
      STAMPEDE_ADMIN_TOKEN: ADMIN_TOKEN,
    }),
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const closed = once(child, 'close')
  const kill = async () => {
    child.kill('SIGKILL')
    await closed
  }
  const signal = AbortSignal.timeout(DEADLINE_MILLISECONDS)
  let output = ''
  child.stdout.setEncoding('utf8')
  for (;;) {
    const url = /URL +(http:\S+)/.exec(output)?.[1]
    if (url) {
      child.stdout.resume()
      return { url, kill, [Symbol.asyncDispose]: kill }
    }
    const [text] = (await once(child.stdout, 'data', { signal })) as [string]
    output += text
  }
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

async function waitFor(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MILLISECONDS
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, `Not in time: ${what}`)
    await sleep(20)
  }
}

describe('a server killed in the middle of an upload', () => {
  it('serves the older images, knows nothing of the new one, and sweeps what is left', async () => {
    const dataFolder = await mkdtemp(join(tmpdir(), 'stampede-crash-'))
    const store = join(dataFolder, 'store')
    try {
      await putEmbeddedDatabase(dataFolder)
      let olderFiles: string[]
      {
        await using server = await startServer(dataFolder)
        const url = `${server.url}/api/images/older`
        const answer = await fetch(url, { method: 'PUT', body: DISK, headers: { authorization } })
        assert.equal(answer.status, 201)
        olderFiles = (await filesIn(store)).toSorted()

        const upload = request(`${server.url}/api/images/newer`, {
          method: 'PUT',
          headers: { authorization },
        })
        upload.on('error', () => {})
        upload.write(diskContent({ chunks: 12 }))
        await waitFor(
          'chunks of the new image',
          async () => (await filesIn(store)).length > olderFiles.length + 2,
        )
        await server.kill()
        upload.destroy()
      }
      await using server = await startServer(dataFolder)
      const get = (path: string) => fetch(server.url + path, { headers: { authorization } })
      assert.equal((await get('/api/images/newer')).status, 404)
      const exported = await (await get('/images/older.img.gz')).arrayBuffer()
      assert.ok(gunzipSync(exported).equals(DISK))
      await waitFor('the sweep', async () => {
        const left = (await filesIn(store)).toSorted()
        return left.join() === olderFiles.join()
      })
    } finally {
      await rm(dataFolder, { recursive: true, force: true })
    }
  })
})

describe('a full disk', () => {
  it('is told to the uploader; nothing is left and the older image is whole', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stampede-full-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', folder])
    try {
      const store = join(folder, 'store')
      await mkdir(store)
      await using app = await openTestApp({ env: { STAMPEDE_STORE: `file:${store}` } })
      await app.call('PUT', '/api/images/disk', DISK)
      // Which counts what the image has alone; else the background does so at some time.
      await app.call('POST', '/api/store/sweep')
      const { body: older } = await app.call<Image>('GET', '/api/images/disk')
      const olderFiles = (await filesIn(store)).toSorted()
      const large = Buffer.concat(Array.from({ length: 8 }, () => diskContent()))
      const refused = await app.call<{ error: { code: string } }>('PUT', '/api/images/disk', large)
      assert.equal(refused.status, 507)
      assert.equal(refused.body.error.code, 'store-full')
      await waitFor(
        'the sweep',
        async () => (await filesIn(store)).toSorted().join() === olderFiles.join(),
      )
      assert.deepEqual((await app.call<Image>('GET', '/api/images/disk')).body, older)
      assert.ok((await exported(app, 'disk')).equals(DISK))
    } finally {
      execFileSync('umount', [folder])
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('a disk with too little room', () => {
  it('is told before anything of a compressed file is stored', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'stampede-little-'))
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'tmpfs', folder])
    try {
      await using app = await openTestApp({ env: { STAMPEDE_STORE: `file:${folder}` } })
      const packed = gzipSync(diskContent({ chunks: 24 }))
      assert.ok(packed.length > 6 * MIB)
      type Refusal = { error: { code: string; message: string } }
      const refusals = [
        await app.call<Refusal>('PUT', '/api/images/large', packed),
        await app.call<Refusal>('POST', '/api/uploads', {
          name: 'large',
          sizeBytes: packed.length,
          fileName: 'large.img.gz',
        }),
      ]
      const { body: upload } = await app.call<{ id: string }>('POST', '/api/uploads', {
        name: 'large',
        sizeBytes: packed.length,
      })
      const piece = packed.subarray(0, 1000)
      const headers = { 'upload-offset': '0' }
      refusals.push(await app.call('PATCH', `/api/uploads/${upload.id}`, piece, { headers }))
      for (const { status, body } of refusals) {
        assert.deepEqual([status, body.error.code], [507, 'store-full'])
        assert.ok(body.error.message.includes(`about ${formatBytes(packed.length)},`))
      }
      assert.deepEqual(await filesIn(folder), [])
      // A raw disk of that size may be mostly zeros.
      const zeros = Buffer.alloc(8 * MIB)
      assert.equal((await app.call('PUT', '/api/images/zeros', zeros)).status, 201)
    } finally {
      execFileSync('umount', [folder])
      await rm(folder, { recursive: true, force: true })
    }
  })
})

describe('uploads, deletions and sweeps at once', () => {
  it('leave every image that is there whole', async () => {
    await using app = await openTestApp()
    const shared = Array.from({ length: 6 }, (_, index) => Buffer.alloc(MIB, `shared ${index} `))
    const contents = new Map<string, Buffer>()
    async function work(worker: number): Promise<void> {
      for (let round = 0; round < 6; round++) {
        const name = `image-${worker}`
        const disk = Buffer.concat([...shared.slice(round % 3), Buffer.alloc(512, `${worker}`)])
        const { status } = await app.call('PUT', `/api/images/${name}`, disk)
        assert.equal(status, 201)
        contents.set(name, disk)
        if (round % 2 === 0) await app.call('DELETE', `/api/images/${name}`)
      }
    }
    await Promise.all([0, 1, 2, 3].map(work))
    for (const [name, disk] of contents) assert.ok((await exported(app, name)).equals(disk), name)
  })
})

async function exported(app: TestApp, name: string): Promise<Buffer> {
  const response = await fetch(`http://127.0.0.1:${app.port}/images/${name}.img.gz`, {
    headers: { authorization },
  })
  assert.equal(response.status, 200)
  return gunzipSync(await response.arrayBuffer())
}
