import { mkdir, mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '#agent/exec.ts'
import { openServerProcess, type ServerProcess } from '#test/support/server-process.ts'
import { bundleAgent } from '../agent/build.ts'
import { createBenchDisk, createBlank, type BenchDisk } from './disk.ts'
import { openLoop } from './loop.ts'
import { openNginx, type StaticServer } from './nginx.ts'
import type { BenchOptions } from './options.ts'
import { dropCaches, timePipeline, type Pipeline } from './rounds.ts'

/** The image that sections deploy and serve: what was captured from the source disk. */
export const IMAGE = 'bench'

/** Nothing is done in the background while something is measured, unless it is asked for. */
export const SERVER_ENV = { STAMPEDE_RECOMPRESS: 'off', STAMPEDE_SCRUB_HOURS: '0' }

/** What sections share: a disk to capture, one to write to, our server, and nginx for the others. */
export interface Setting extends AsyncDisposable {
  options: BenchOptions
  folder: string
  disk: BenchDisk
  /** Block devices; whole disks and the partition on each. */
  source: string
  sourcePartition: string
  target: string
  targetPartition: string
  server: ServerProcess
  nginx: StaticServer
  /** What nginx serves. */
  peerFolder: string
  /** The command line of our agent, such as `capture --disk /dev/loop0`; `url` is that of our server. */
  agent(call: string, url?: string): Pipeline
  /** Zeros again: sparse writing is only right on those, and holes cost less to fill once. */
  blankTarget(): Promise<void>
  /** A server with nothing in its store: chunks that are there would not be sent again. */
  forgetImages(): Promise<void>
  /** Captures the source disk unless that was done. */
  needImage(): Promise<void>
}

export async function openSetting(options: BenchOptions): Promise<Setting> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'stampede-bench-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))

  console.error('Making a disk out of the files of this machine')
  const disk = await createBenchDisk(join(folder, 'source.img'), options)
  const blank = join(folder, 'target.img')
  await createBlank(blank, disk.sizeBytes)
  const open = async (file: string, readOnly: boolean) => ({
    disk: opened.use(await openLoop(file, { readOnly })).path,
    partition: opened.use(await openLoop(file, { readOnly, part: disk.partition })).path,
  })
  const source = await open(disk.path, true)
  const target = await open(blank, false)
  await bundleAgent(undefined, join(folder, 'agent'))
  const server = opened.use(
    await openServerProcess({ dataFolder: join(folder, 'data'), env: SERVER_ENV }),
  )
  const peerFolder = join(folder, 'peers')
  await mkdir(peerFolder)
  const nginx = opened.use(await openNginx(peerFolder, join(folder, 'nginx')))

  const authorization = `Bearer ${server.token}`
  const setting: Omit<Setting, keyof AsyncDisposable> = {
    options,
    folder,
    disk,
    server,
    nginx,
    peerFolder,
    source: source.disk,
    sourcePartition: source.partition,
    target: target.disk,
    targetPartition: target.partition,
    agent: (call, url = server.url) => ({
      command: `${process.execPath} ${join(folder, 'agent/agent.mjs')} ${call} --server ${url}`,
      env: { STAMPEDE_TOKEN: server.token },
    }),
    async blankTarget() {
      await truncate(blank, 0)
      await truncate(blank, disk.sizeBytes)
      for (const device of [target.disk, target.partition])
        await exec('blockdev', ['--flushbufs', device])
      await dropCaches()
    },
    async forgetImages() {
      await server.kill()
      await rm(server.dataFolder, { recursive: true })
      await server.start()
    },
    async needImage() {
      const { ok } = await fetch(`${server.url}/api/images/${IMAGE}`, {
        headers: { authorization },
      })
      if (ok) return
      console.error('Capturing the disk')
      await timePipeline(setting.agent(`capture --disk ${source.disk} --image ${IMAGE}`))
    },
  }
  const resources = opened.move()
  return { ...setting, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

/** Bytes of all chunks of our server, as they are stored. */
export async function storedBytes(server: ServerProcess): Promise<number> {
  const store = join(server.dataFolder, 'store')
  const names = await readdir(store, { recursive: true })
  const sizes = await Promise.all(
    names
      .filter((name) => /^[0-9a-f]{2}\/[0-9a-f]{62}\.(gz|zst)$/.test(name))
      // What a capture tells of its image came as a chunk, which goes once it is told.
      .map((name) => stat(join(store, name)).then(({ size }) => size, unlessGone)),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

function unlessGone(err: unknown): number {
  if ((err as NodeJS.ErrnoException).code !== 'ENOENT') throw err
  return 0
}
