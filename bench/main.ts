import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { exec } from '#agent/exec.ts'
import { bundleAgent } from '../agent/build.ts'
import { closeTestPostgres } from '#test/support/database.ts'
import { openServerProcess, type ServerProcess } from '#test/support/server-process.ts'
import { benchApi } from './api.ts'
import { createBenchDisk, createBlank, type BenchDisk } from './disk.ts'
import { formatResults, measureAll, type Contender, type Result } from './measure.ts'
import { benchReports } from './reports.ts'

/**
 * Deploy and capture next to the tools that people would use instead: same image, same machine,
 * same run. Ratios are what counts; seconds depend on the machine and on what else it does.
 */

const GIB = 1024 ** 3
const NEEDED = ['curl', 'gzip', 'pigz', 'zstd', 'partclone.ext4', 'losetup', 'sfdisk', 'mkfs.ext4']
const COMPARE_SECONDS = 900
const SYNC_SECONDS = 300

const { values } = parseArgs({
  options: {
    'size-gib': { type: 'string', default: '10' },
    'content-mb': { type: 'string', default: '1700' },
    rounds: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
    /** `api` or `disk` alone. */
    only: { type: 'string' },
  },
})

async function main(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error('The bench needs root, to make loop devices')
  for (const program of NEEDED) await exec('which', [program])
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'stampede-bench-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))

  console.error('Making a disk out of the files of this machine')
  const disk = await createBenchDisk(join(folder, 'source.img'), {
    sizeBytes: Number(values['size-gib']) * GIB,
    contentBytes: Number(values['content-mb']) * 1e6,
  })
  const blank = join(folder, 'target.img')
  await createBlank(blank, disk.sizeBytes)
  await bundleAgent(undefined, join(folder, 'agent'))
  const agent = `${process.execPath} ${join(folder, 'agent/agent.mjs')}`
  const source = opened.use(await openLoop(disk.path, true))
  const target = opened.use(await openLoop(blank, false))
  const server = opened.use(await openServerProcess({ dataFolder: join(folder, 'data') }))
  const peers = opened.use(await openStaticServer(folder))

  const ours: Ours = { agent, server }
  const rounds = Number(values.rounds)
  const captures = await captureAll(ours, { disk, source: source.path, folder, rounds })
  const deploys = await deployAll(ours, {
    target: target.path,
    source: source.path,
    blank,
    disk,
    peersUrl: peers.url,
    rounds,
  })
  report(disk, captures, deploys)
}

interface Ours {
  agent: string
  server: ServerProcess
}

function agentCommand({ agent, server }: Ours, call: string): string {
  return `${agent} ${call} --server ${server.url} --image bench`
}

interface CaptureSetting {
  disk: BenchDisk
  source: string
  folder: string
  rounds: number
}

async function captureAll(ours: Ours, setting: CaptureSetting): Promise<Result[]> {
  const { source, folder, rounds } = setting
  const env = { STAMPEDE_TOKEN: ours.server.token }
  const to = (name: string) => join(folder, name)
  const contenders: Contender[] = [
    {
      name: 'stampede capture',
      command: agentCommand(ours, `capture --disk ${source}`),
      env,
    },
    { name: 'gzip -1', command: `gzip -1 <${source} >${to('image.gz')}` },
    { name: 'pigz -1', command: `pigz -1 <${source} >${to('image.gz')}` },
    { name: 'zstd -3 -T0', command: `zstd -q -f -3 -T0 <${source} >${to('image.zst')}` },
    {
      name: 'partclone | zstd -3 -T0',
      command: withPartition(
        setting.disk,
        source,
        (partition) =>
          `partclone.ext4 -c -s ${partition} -o - -L ${to('partclone.log')} | zstd -q -3 -T0 >${to('partclone.zst')}`,
      ),
    },
  ]
  console.error('Capture')
  return await measureAll(contenders, rounds, async ({ name }) => {
    if (name === 'stampede capture') await forgetImages(ours.server)
    await dropCaches()
  })
}

/** Nobody finds in memory what another one read or wrote (kernel: admin-guide/sysctl/vm.rst). */
async function dropCaches(): Promise<void> {
  await exec('sync', [], { timeoutSeconds: SYNC_SECONDS })
  await writeFile('/proc/sys/vm/drop_caches', '3')
}

/** partclone wants the partition, not the disk. */
function withPartition(
  { partition }: BenchDisk,
  source: string,
  use: (path: string) => string,
): string {
  const range = `--offset ${partition.startBytes} --sizelimit ${partition.sizeBytes}`
  return (
    `p=$(losetup --find --show --read-only ${range} ${source}); ` +
    `trap 'losetup --detach $p' EXIT; ${use('$p')}`
  )
}

/** Chunks that are there already would not be sent again. */
async function forgetImages(server: ServerProcess): Promise<void> {
  await server.kill()
  await rm(server.dataFolder, { recursive: true })
  await server.start()
}

interface DeploySetting {
  disk: BenchDisk
  source: string
  target: string
  blank: string
  peersUrl: string
  rounds: number
}

async function deployAll(ours: Ours, setting: DeploySetting): Promise<Result[]> {
  const { source, target, blank, disk, peersUrl, rounds } = setting
  const env = { STAMPEDE_TOKEN: ours.server.token }
  const deploy = agentCommand(ours, `deploy --yes --disk ${target}`)
  const dd = `dd of=${target} bs=1M iflag=fullblock status=none`
  const contenders: Contender[] = [
    { name: 'stampede deploy, not read back', command: `${deploy} --no-verify`, env },
    { name: 'stampede deploy, read back', command: deploy, env },
    {
      name: 'curl | gunzip | dd',
      command: `curl -sf ${peersUrl}/image.gz | gunzip | ${dd} conv=fsync`,
    },
    {
      name: 'curl | pigz -dc | dd',
      command: `curl -sf ${peersUrl}/image.gz | pigz -dc | ${dd} conv=fsync`,
    },
    {
      name: 'curl | zstd -dc | dd conv=sparse',
      command: `curl -sf ${peersUrl}/image.zst | zstd -dcq | ${dd} conv=sparse,fsync`,
    },
  ]
  console.error('Deploy')
  const checked = new Set<string>()
  let previous: string | undefined
  const check = async () => {
    if (previous === undefined || checked.has(previous)) return
    checked.add(previous)
    await exec('cmp', [source, target], { timeoutSeconds: COMPARE_SECONDS })
  }
  const results = await measureAll(contenders, rounds, async ({ name }) => {
    await check()
    // Blank again: sparse writing is only right on zeros, and holes cost less to fill once.
    await truncate(blank, 0)
    await truncate(blank, disk.sizeBytes)
    await exec('blockdev', ['--flushbufs', target])
    await dropCaches()
    previous = name
  })
  await check()
  return results
}

/**
 * With direct I/O, as on a real disk: else the first contender would read the file behind the device
 * from the medium, and all others from memory.
 */
async function openLoop(file: string, readOnly: boolean) {
  const options = ['--find', '--show', '--direct-io=on', ...(readOnly ? ['-r'] : [])]
  const { stdout } = await exec('losetup', [...options, file])
  const path = stdout.trim()
  return {
    path,
    async [Symbol.asyncDispose]() {
      await exec('losetup', ['--detach', path])
    },
  }
}

async function openStaticServer(folder: string) {
  const script = resolve(import.meta.dirname, 'static-server.ts')
  const child: ChildProcess = spawn(process.execPath, [script, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(child.stdout!, 'data')
  return {
    url: String(line).trim(),
    async [Symbol.asyncDispose]() {
      const exited = once(child, 'exit')
      child.kill()
      await exited
    },
  }
}

function report(disk: BenchDisk, captures: Result[], deploys: Result[]): void {
  if (values.json) {
    console.log(JSON.stringify({ disk, captures, deploys }, undefined, 2))
    return
  }
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`
  console.log(
    `A disk of ${gigabytes(disk.sizeBytes)} with ${gigabytes(disk.contentBytes)} of files, best of ` +
      `${values.rounds}; the last column is the time as a multiple of the first line's\n`,
  )
  console.log(formatResults('Capture from a loop device', captures, disk.sizeBytes))
  console.log()
  console.log(formatResults('Deploy to a loop device', deploys, disk.sizeBytes))
}

if (values.only !== undefined && !['api', 'disk'].includes(values.only))
  throw new Error(`--only is "${values.only}" but must be api or disk`)
if (values.only !== 'api') await main()
if (values.only !== 'disk' && !values.json) {
  await benchApi()
  await benchReports()
  await closeTestPostgres()
}
