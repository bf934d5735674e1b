import assert from 'node:assert/strict'
import { mkdtempDisposable } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { bundleAgent } from '#agent/build.ts'
import { exec } from '#agent/exec.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import {
  startAgentProcess,
  type AgentProcess,
  type AgentProcessOptions,
} from '#test/support/agent-process.ts'
import { openFaultDisk, type FaultDisk } from '#test/support/fault-disk.ts'
import { openPhaseProxy, type PhaseProxy } from '#test/support/phase-proxy.ts'
import { openServerProcess, type ServerProcess } from '#test/support/server-process.ts'
import type { Outcome } from './cell.ts'
import { assertReported, assertSame, judgeDeploy, judgeUnfinished, type Ended } from './outcome.ts'
import { DISK_BYTES, systemDisk } from './system-disk.ts'

const CALL_TIMEOUT_MILLISECONDS = 240_000
/** The images that are there before something goes wrong. */
export const GOLDEN = 'golden'
/** Of one chunk, to and from the server. */
export const CHUNK_PATH = /^\/chunks\/[0-9a-f]{64}$/

/** A server with an image, a disk with another system, and an agent to be started on it. */
export interface FaultLab extends AsyncDisposable {
  readonly server: ServerProcess
  /** On the way to the server for whoever is told so. */
  readonly proxy: PhaseProxy
  readonly disk: FaultDisk
  /** The content of the image `golden`. */
  readonly golden: Buffer
  /** Another system: what the disk holds before each cell. */
  readonly old: Buffer
  /** What differs from the image in some chunks. */
  readonly similar: Buffer
  call(method: string, path: string, body?: Uint8Array | string): Promise<Response>
  start(command: 'capture' | 'deploy', options?: Partial<AgentProcessOptions>): AgentProcess
  /** Starts with the old system, or `before`, on a disk that is in order. */
  reset(before?: Buffer): void
  /** Of a deployment of `golden`, or another image. */
  judge(ended: Ended, image?: Buffer): Outcome
  /** Whoever was killed said nothing. */
  judgeSilent(): Outcome
  /** Of a capture to image `name`: complete, or none. Also that `golden` is as it was. */
  judgeCapture(name: string, ended: Ended): Promise<Outcome>
}

export interface FaultLabOptions {
  /** Of the server, if it is not to be one of its own; with a database in it. */
  dataFolder?: string
  env?: Record<string, string>
}

export async function openFaultLab(options: FaultLabOptions = {}): Promise<FaultLab> {
  await using opened = new AsyncDisposableStack()
  const [golden, old] = await Promise.all([systemDisk(1), systemDisk(2)])
  const folder = opened.use(await mkdtempDisposable(join(tmpdir(), 'stampede-fault-agent-')))
  // A bundle starts in a fifth of the time.
  await bundleAgent(undefined, join(folder.path, 'agent'))
  const program = join(folder.path, 'agent/agent.mjs')
  const server = opened.use(await openServerProcess(options))
  const proxy = opened.use(await openPhaseProxy(server.url))
  const disk = opened.use(await openFaultDisk(DISK_BYTES))
  let before = old

  const call: FaultLab['call'] = (method, path, body) =>
    fetch(`${server.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${server.token}`,
        ...(typeof body === 'string' && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: body as Uint8Array<ArrayBuffer> }),
      signal: AbortSignal.timeout(CALL_TIMEOUT_MILLISECONDS),
    })
  const judged = (image = golden) => ({ content: disk.content, before, image })
  const uploaded = await call('PUT', `/api/images/${GOLDEN}`, golden)
  assert.equal(uploaded.status, 201, await uploaded.text())
  const resources = opened.move()
  return {
    server,
    proxy,
    disk,
    golden,
    old,
    similar: similarDisk(golden, old),
    call,
    start: (command, more) =>
      startAgentProcess(command, {
        serverUrl: server.url,
        token: server.token,
        program,
        disk: disk.path,
        image: GOLDEN,
        ...more,
      }),
    reset(content = old) {
      disk.fault = undefined
      const none = undefined
      Object.assign(proxy, { fault: none, alterRequest: none, alterAnswer: none, hold: none })
      before = content
      disk.fill(content)
    },
    judge: (ended, image) => judgeDeploy(ended, judged(image)),
    judgeSilent: () => judgeUnfinished(judged()),
    async judgeCapture(name, ended) {
      assertSame(disk.content, before, 'The disk was captured, and is not what it was')
      // A machine that lost its power comes back writable; a loop device stays as it was set.
      await exec('blockdev', ['--setrw', disk.path])
      if (ended.exitCode === 0) {
        await assertExport(call, name, before)
        return 'complete'
      }
      await assertExport(call, GOLDEN, golden)
      if (ended.exitCode !== null) assertReported(ended)
      assert.equal((await call('GET', `/api/images/${name}`)).status, 404)
      return 'no image'
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

const DIFFERENT_CHUNKS = [0, 3, 6, 10, 11, 16, 22]

function similarDisk(golden: Buffer, old: Buffer): Buffer {
  const disk = Buffer.from(golden)
  for (const index of DIFFERENT_CHUNKS)
    old.copy(disk, index * CHUNK_BYTES, index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)
  return disk
}

export async function assertExport(
  call: FaultLab['call'],
  name: string,
  expected: Buffer,
): Promise<void> {
  const response = await call('GET', `/images/${name}.img.gz`)
  assert.equal(response.status, 200, `Image "${name}" is gone`)
  const content = gunzipSync(Buffer.from(await response.arrayBuffer()))
  assertSame(content, expected, `Image "${name}" is not what it was`)
}
