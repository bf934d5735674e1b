import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import pRetry from 'p-retry'
import type { S3Access } from '#server/images/s3/s3-access.ts'
import { createS3Client } from '#server/images/s3/s3-client.ts'
import { freePort } from './free-port.ts'

const run = promisify(execFile)

export interface RadosGateway extends AsyncDisposable {
  endpoint: string
  /** Of its user to a part of a bucket. */
  access: (bucket: string, prefix?: string) => S3Access
  createBucket: (bucket: string) => Promise<void>
  /** As Ceph's `radosgw-admin`. */
  admin: (...args: string[]) => Promise<string>
  /** Ends the gateway as a power cut would; its objects stay. */
  kill: () => Promise<void>
  /** Starts the gateway again, at the same address, with more options if any are given. */
  start: (...options: string[]) => Promise<void>
  /** Halts the gateway in the middle of whatever it does; it still takes connections. */
  pause: () => void
  resume: () => void
}

const START_SECONDS = 300
const BUCKET_RETRIES = 5
const MEMORY_BYTES = 2 * 1024 ** 3

/**
 * A real S3 server: Ceph's RADOS Gateway on a cluster of one monitor and one OSD that holds its
 * objects in memory, on the loopback interface. Takes about 10 s and needs root.
 */
export async function openRadosGateway(): Promise<RadosGateway> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'stampede-ceph-'))
  opened.defer(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  for (const name of ['run', 'log', 'mon', 'mgr', 'osd', 'rgw'])
    await mkdir(join(folder, name), { recursive: true })
  const [port2, port1, port] = [await freePort(), await freePort(), await freePort()]
  const configPath = join(folder, 'ceph.conf')
  const monitor = `v2:127.0.0.1:${port2},v1:127.0.0.1:${port1}`
  await writeFile(configPath, cephConfig({ folder, monitor, port }))
  const ceph = (program: string, ...args: string[]) => run(program, ['-c', configPath, ...args])
  const daemon = (program: string, ...args: string[]) => {
    const started = startDaemon(folder, program, ['-f', '-c', configPath, ...args])
    return opened.adopt(started, stop)
  }

  await makeMonitor(folder, monitor, ceph)
  daemon('ceph-mon', '-i', 'a')
  const uuid = randomUUID()
  await ceph('ceph', 'osd', 'new', uuid)
  await ceph('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', uuid)
  daemon('ceph-osd', '-i', '0')
  await until('the OSD is up', async () =>
    (await ceph('ceph', 'osd', 'stat')).stdout.includes('1 up'),
  )

  const endpoint = `http://127.0.0.1:${port}`
  let gateway: ChildProcess | undefined
  async function start(...options: string[]): Promise<void> {
    const name = ['-n', 'client.rgw.a']
    gateway = startDaemon(folder, 'radosgw', ['-f', '-c', configPath, ...name, ...options])
    await until('the gateway answers', () =>
      fetch(endpoint).then(
        () => true,
        () => false,
      ),
    )
  }
  opened.defer(() => stop(gateway))
  await start()
  const admin = async (...args: string[]) => (await ceph('radosgw-admin', ...args)).stdout
  const keys = { accessKeyId: 'TESTACCESSKEY', secretAccessKey: 'testsecretkey123' }
  const user = ['user', 'create', '--uid=test', '--display-name=test']
  const userKeys = [`--access-key=${keys.accessKeyId}`, `--secret-key=${keys.secretAccessKey}`]
  await admin(...user, ...userKeys)
  const resources = opened.move()
  const access = (bucket: string, prefix = ''): S3Access => ({
    address: `s3://${bucket}/${prefix}`.replace(/\/$/, ''),
    bucket,
    prefix,
    bucketUrl: `${endpoint}/${bucket}/`,
    region: 'us-east-1',
    ...keys,
  })
  return {
    endpoint,
    access,
    // A bucket that is there already is no error; on a busy machine its first answer can be late.
    createBucket: async (bucket) =>
      void (await pRetry(() => createS3Client(access(bucket)).send({ method: 'PUT' }), {
        retries: BUCKET_RETRIES,
      })),
    admin,
    start,
    kill: () => stop(gateway),
    pause: () => void gateway?.kill('SIGSTOP'),
    resume: () => void gateway?.kill('SIGCONT'),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

function cephConfig(where: { folder: string; monitor: string; port: number }): string {
  const { folder, monitor, port } = where
  return `
[global]
fsid = ${randomUUID()}
mon host = [${monitor}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = none
auth service required = none
auth client required = none
auth supported = none
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 8
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data avail warn = 2
mon data avail crit = 1
run dir = ${folder}/run
admin socket =
pid file =
log file = ${folder}/log/$name.log
log to stderr = false
err to stderr = false
osd objectstore = memstore
memstore device bytes = ${MEMORY_BYTES}
osd class load list = *
osd class default list = *
mgr initial modules =
[mon.a]
mon data = ${folder}/mon/a
[mgr.x]
mgr data = ${folder}/mgr
[osd]
osd data = ${folder}/osd
[client.rgw.a]
rgw data = ${folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:${port} tcp_nodelay=1
rgw thread pool size = 64
rgw user quota bucket sync interval = 1
rgw bucket quota ttl = 0
`
}

type Ceph = (program: string, ...args: string[]) => Promise<{ stdout: string }>

async function makeMonitor(folder: string, monitor: string, ceph: Ceph): Promise<void> {
  const keyring = join(folder, 'mon.keyring')
  const map = join(folder, 'monmap')
  const fsid = /fsid = (\S+)/.exec(await readFile(join(folder, 'ceph.conf'), 'utf8'))![1]!
  const caps = ['mon', 'osd', 'mgr'].flatMap((name) => ['--cap', name, 'allow *'])
  await run('ceph-authtool', ['--create-keyring', keyring, '--gen-key', '-n', 'mon.', ...caps])
  await run('ceph-authtool', [keyring, '--gen-key', '-n', 'client.admin', ...caps])
  await run('monmaptool', ['--create', '--fsid', fsid, '--addv', 'a', `[${monitor}]`, map])
  await ceph('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map, '--keyring', keyring)
}

/** Ends with us, however we end. */
function startDaemon(folder: string, program: string, args: string[]): ChildProcess {
  return spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], {
    stdio: 'ignore',
    cwd: folder,
  })
}

async function stop(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

async function until(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_SECONDS * 1000
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`Waited ${START_SECONDS} s until ${what}`)
    await sleep(200)
  }
}
