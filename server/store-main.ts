import './thread-pool.ts'
import { stat } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { formatBytes } from '#protocol/machine/disk-choice.ts'
import { ConfigError } from './config.ts'
import { openFolderSync } from './db/folder-sync.ts'
import {
  type ChunkStore,
  PREFIXES,
  StoreFullError,
  StoreUnreachableError,
} from './images/store/chunk-store.ts'
import { type CopyProgress, copyStore } from './images/store/copy-store.ts'
import { createDirectoryStore, prepareDirectoryStore } from './images/store/directory-store.ts'
import { checkS3Store, lookAtS3 } from './images/s3/s3-check.ts'
import { createS3Client } from './images/s3/s3-client.ts'
import { createS3Store } from './images/s3/s3-store.ts'
import type { TouchLog } from './images/s3/touch-log.ts'
import { makeFolder } from './make-folder.ts'
import { refuseOverlap, refuseStrangers } from './store/open-store.ts'
import { claimBucket, claimFolder, findBucketOwner, findFolderOwner } from './store/store-owner.ts'
import { ServiceError } from './service-error.ts'
import { parseStore, type StoreConfig } from './settings/store-config.ts'

const USAGE = `Usage: npm run store -- migrate --from file:/srv/stampede --to s3://bucket/prefix [--verify]

Copies every chunk that one store has and the other lacks, while no server uses the second; both are
a folder (file:…) or a bucket (s3://…, with the AWS_* names that the server has). What was copied
before is not copied again. --verify reads back what is there already.`

const TELL_MILLISECONDS = 5000

class StoppedError extends Error {
  override name = 'StoppedError'
}

/** The database that a store is marked as that of. */
type Owner = string | undefined

/** No server sweeps a store that none uses. */
const NO_TOUCHES: TouchLog = {
  record: async () => {},
  removing: () => Promise.reject(new Error('Nothing is removed from a store that is being copied')),
  forget: async () => {},
}

async function main(): Promise<void> {
  const { positionals, values } = parseArguments()
  const { from, to, verify = false, help } = values
  if (help) return console.log(USAGE)
  if (positionals.join() !== 'migrate' || from === undefined || to === undefined)
    throw new ConfigError(USAGE)
  const stop = new AbortController()
  const stopped = new StoppedError('Stopped; the same command goes on with what is left')
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => stop.abort(stopped))
  const [fromConfig, toConfig] = [
    parseStore('--from', from, process.env),
    parseStore('--to', to, process.env),
  ]
  const source = await openSource(fromConfig)
  await refuseOverlap(fromConfig, toConfig)
  await using target = await openTarget(toConfig, source.owner)
  let toldAt = Date.now()
  const copied = await copyStore({
    from: source.store,
    to: target.store,
    verify,
    signal: stop.signal,
    onProgress(progress) {
      if (Date.now() - toldAt < TELL_MILLISECONDS) return
      toldAt = Date.now()
      console.error(
        `${Math.floor((progress.position / PREFIXES.length) * 100)} %: ${told(progress)}`,
      )
    },
  }).catch((cause: unknown) => {
    if (!(cause instanceof StoreFullError)) throw cause
    const message = `${to} is full; make room there, and the same command goes on with what is left`
    throw new ServiceError(message, { cause })
  })
  const { damagedChunks: damaged } = copied
  if (damaged === 0) return console.log(`${told(copied)}; ${to} has all that ${from} has`)
  console.log(told(copied))
  const what = damaged === 1 ? 'a chunk that is' : `${damaged} chunks that are`
  console.error(
    `${to} lacks ${what} damaged in ${from} and ${damaged === 1 ? 'was' : 'were'} left there; "stampede store scrub" on a server that uses it names the images`,
  )
  process.exitCode = 1
}

function parseArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        from: { type: 'string' },
        to: { type: 'string' },
        verify: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (cause) {
    throw new ConfigError(`${(cause as Error).message}\n\n${USAGE}`, { cause })
  }
}

function told({ seenChunks, copiedChunks, copiedBytes }: CopyProgress): string {
  return `${copiedChunks} of ${seenChunks} chunks copied, ${formatBytes(copiedBytes)}`
}

/** Only read, so that a server may use it. */
async function openSource(config: StoreConfig): Promise<{ store: ChunkStore; owner: Owner }> {
  if (config.kind === 's3') {
    await lookAtS3(config.access)
    const { store, client } = openBucket(config)
    return { store, owner: await findBucketOwner(client) }
  }
  const { folder } = config
  const found = await stat(folder).catch(() => undefined)
  if (!found?.isDirectory()) throw new ServiceError(`There is no chunk store in "${folder}"`)
  const store = createDirectoryStore({ folder, flush: async () => {} })
  return { store, owner: await findFolderOwner(folder) }
}

/** A copy is its database's as well, unless it is another's already. */
async function openTarget(
  config: StoreConfig,
  owner: Owner,
): Promise<{ store: ChunkStore } & AsyncDisposable> {
  if (config.kind === 's3') {
    await checkS3Store(config.access)
    const { store, client } = openBucket(config)
    if (owner !== undefined && !(await findBucketOwner(client))) await claimBucket(client, owner)
    return { store, async [Symbol.asyncDispose]() {} }
  }
  const { folder } = config
  await refuseStrangers(folder)
  await makeFolder(folder, 0o750)
  await prepareDirectoryStore(folder)
  if (owner !== undefined && !(await findFolderOwner(folder))) await claimFolder(folder, owner)
  const folderSync = await openFolderSync(folder)
  return {
    store: createDirectoryStore({ folder, flush: () => folderSync.flush() }),
    [Symbol.asyncDispose]: () => folderSync[Symbol.asyncDispose](),
  }
}

function openBucket({ access }: Extract<StoreConfig, { kind: 's3' }>) {
  const client = createS3Client(access)
  return { client, store: createS3Store(client, NO_TOUCHES) }
}

// The threads that hash do not keep a process that waits for them.
const waiting = setInterval(() => {}, 2 ** 30)
try {
  await main()
} catch (err) {
  const isForOperator = [ConfigError, ServiceError, StoreUnreachableError, StoppedError].some(
    (kind) => err instanceof kind,
  )
  console.error(isForOperator ? (err as Error).message : err)
  process.exitCode = 1
} finally {
  clearInterval(waiting)
}
