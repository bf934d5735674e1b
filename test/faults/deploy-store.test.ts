import assert from 'node:assert/strict'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Sha256 } from '#protocol/sha256.ts'
import { openFreshDatabase } from '#test/support/database.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { testCells, type Cell } from './cell.ts'
import { GOLDEN, openFaultLab, type FaultLab } from './fault-lab.ts'
import type { Chance } from './seed.ts'
import { chunkHash, chunkPath, damageStored, segmentHash } from './stored-chunks.ts'
import { systemDisk } from './system-disk.ts'

/** What an agent captured, and therefore in zstd frames. */
const CAPTURED = 'captured'
const MIDDLE_CHUNK = 12
const OTHER_CHUNK = 11
const AWAY_MILLISECONDS = 1500
/** The write of the image's second half is under way. */
const LATER_CHUNK = 9
const COMMIT = /^\/api\/images\/.*\/manifest$/
/** Of an answer of 500 an agent takes three. */
const MANY_ATTEMPTS = 4

interface StoreLab extends FaultLab {
  captured: Buffer
  databaseUrl: string
  /** In the database of the server. */
  query(statement: string): Promise<void>
  /** In another one of the same cluster. */
  admin(...statements: string[]): Promise<void>
}

type Outcomes = Cell<StoreLab>['outcomes']
type Damage = (stored: Buffer, chance: Chance, lab: StoreLab) => Promise<Buffer | undefined>

const DAMAGES: Record<string, Damage> = {
  'bit flip': async (stored, chance) => {
    const damaged = Buffer.from(stored)
    damaged[chance.integer(Math.floor(stored.length / 2), stored.length)]! ^= 0xff
    return damaged
  },
  'cut short': async (stored, chance) => stored.subarray(0, chance.integer(1, stored.length)),
  empty: async () => Buffer.alloc(0),
  missing: async () => undefined,
  "another chunk's content": async (_stored, _chance, lab) =>
    await readFile(await chunkPath(lab, chunkHash(lab.golden, OTHER_CHUNK))),
}

interface Part {
  name: string
  image: string
  hash(lab: StoreLab): Sha256 | Promise<Sha256>
}

const CHUNK: Part = {
  name: 'chunk, gzip',
  image: GOLDEN,
  hash: ({ golden }) => chunkHash(golden, MIDDLE_CHUNK),
}
const FRAME: Part = {
  name: 'chunk, zstd',
  image: CAPTURED,
  hash: ({ captured }) => chunkHash(captured, MIDDLE_CHUNK),
}
const HEAD: Part = { ...CHUNK, name: 'head', hash: ({ golden }) => chunkHash(golden, 0) }
const SEGMENT: Part = { name: 'segment', image: GOLDEN, hash: (lab) => segmentHash(lab, GOLDEN) }

function stored(part: Part, kind: string, outcomes: Outcomes): Cell<StoreLab> {
  return {
    place: `store, ${part.name}`,
    kind,
    moment: 'before the deployment',
    outcomes,
    async run(lab, chance) {
      lab.reset()
      const hash = await part.hash(lab)
      const bytes = await readFile(await chunkPath(lab, hash))
      const damaged = await DAMAGES[kind]!(bytes, chance, lab)
      await lab.query('delete from damaged_chunks')
      await using _ = await damageStored(lab, hash, () => damaged)
      const ended = await lab.start('deploy', { image: part.image }).ended
      return lab.judge(ended, part.image === GOLDEN ? lab.golden : lab.captured)
    },
  }
}

/** Something is gone from when a chunk in the middle is asked for, and comes back if `comesBack`. */
function away(
  place: string,
  comesBack: boolean,
  outcomes: Outcomes,
  [leave, back]: [(lab: StoreLab) => Promise<void>, (lab: StoreLab) => Promise<void>],
): Cell<StoreLab> {
  return {
    place,
    kind: 'unreachable',
    moment: comesBack ? 'for a while in the middle' : 'from the middle on',
    outcomes,
    async run(lab) {
      lab.reset()
      let chunks = 0
      let leaving: Promise<void> | undefined
      lab.proxy.alterAnswer = ({ path }) => {
        if (path.startsWith('/chunks/') && ++chunks === LATER_CHUNK) leaving = leave(lab)
        return undefined
      }
      const { ended } = lab.start('deploy', { serverUrl: lab.proxy.url })
      try {
        let isOver = false
        void ended.then(() => (isOver = true))
        while (!leaving && !isOver) await sleep(10)
        assert.ok(leaving, 'The deployment ended before')
        await leaving
        if (comesBack) await sleep(AWAY_MILLISECONDS)
        else await ended
      } finally {
        await back(lab)
      }
      return lab.judge(await ended)
    },
  }
}

const storeFolder = ({ server }: StoreLab) => join(server.dataFolder, 'store')
const FOLDER_AWAY: Parameters<typeof away>[3] = [
  (lab) => rename(storeFolder(lab), `${storeFolder(lab)}-away`),
  (lab) => rename(`${storeFolder(lab)}-away`, storeFolder(lab)),
]
const databaseName = (lab: StoreLab) => new URL(lab.databaseUrl).pathname.slice(1)
const DATABASE_AWAY: Parameters<typeof away>[3] = [
  (lab) =>
    lab.admin(
      `alter database ${databaseName(lab)} allow_connections false`,
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${databaseName(lab)}'`,
    ),
  (lab) => lab.admin(`alter database ${databaseName(lab)} allow_connections true`),
]

const MANIFEST: Cell<StoreLab> = {
  place: 'database, manifest',
  kind: 'bit flip',
  moment: 'before the deployment',
  outcomes: ['untouched'],
  async run(lab) {
    lab.reset()
    const image = `(select digest from images where name = '${GOLDEN}')`
    const flip = `update manifests set bytes = set_bit(bytes, 200, 1 - get_bit(bytes, 200)) where digest = ${image}`
    await lab.query(flip)
    try {
      return lab.judge(await lab.start('deploy').ended)
    } finally {
      await lab.query(flip)
    }
  },
}

const DATABASE_AWAY_AT_COMMIT: Cell<StoreLab> = {
  place: 'database, of a capture',
  kind: 'unreachable',
  moment: 'for a while at the commit',
  outcomes: ['complete'],
  async run(lab) {
    const [leave, back] = DATABASE_AWAY
    const image = 'committed'
    lab.reset(await systemDisk(4))
    let asked = 0
    const isOver = Promise.withResolvers<void>()
    lab.proxy.alterAnswer = ({ path }) => {
      if (COMMIT.test(path) && ++asked === MANY_ATTEMPTS) isOver.resolve()
      return undefined
    }
    let leaving: Promise<void> | undefined
    lab.proxy.hold = async ({ path }) => {
      if (COMMIT.test(path)) await (leaving ??= leave(lab))
    }
    const { ended } = lab.start('capture', { image, serverUrl: lab.proxy.url })
    try {
      await Promise.race([isOver.promise, ended])
    } finally {
      await back(lab)
    }
    return lab.judgeCapture(image, await ended)
  },
}

const CELLS: Cell<StoreLab>[] = [
  stored(CHUNK, 'missing', ['untouched']),
  stored(CHUNK, 'empty', ['untouched']),
  // Of some lengths only reading tells.
  stored(CHUNK, 'cut short', ['not bootable', 'untouched']),
  stored(CHUNK, 'bit flip', ['not bootable']),
  stored(CHUNK, "another chunk's content", ['not bootable']),
  stored(FRAME, 'bit flip', ['not bootable']),
  stored(FRAME, 'cut short', ['not bootable', 'untouched']),
  // In a run of zeros another bit may say the same: then the chunk is what its hash says.
  stored(HEAD, 'bit flip', ['untouched', 'verified']),
  stored(SEGMENT, 'bit flip', ['untouched']),
  stored(SEGMENT, 'missing', ['untouched']),
  MANIFEST,
  away('store', true, ['verified'], FOLDER_AWAY),
  away('database', true, ['verified'], DATABASE_AWAY),
  DATABASE_AWAY_AT_COMMIT,
]

async function queryOnce(connectionString: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString })
  await client.connect()
  await client.query(statement).finally(() => client.end())
}

describe('the store below a deployment', { skip: NEEDS_ROOT }, () => {
  const opened = new AsyncDisposableStack()
  let lab: StoreLab
  before(async () => {
    const database = opened.use(await openFreshDatabase('postgres'))
    assert.ok(database.config.kind === 'postgres')
    const { url } = database.config
    // Files of chunks are damaged: none of them may be renewed, and lie there twice, meanwhile.
    const env = { DATABASE_URL: url, STAMPEDE_RECOMPRESS: 'off' }
    const base = opened.use(await openFaultLab({ env }))
    const captured = await systemDisk(3)
    const cluster = new URL(url)
    cluster.pathname = '/postgres'
    lab = {
      ...base,
      captured,
      databaseUrl: url,
      query: (statement) => queryOnce(url, statement),
      admin: async (...statements) => {
        for (const statement of statements) await queryOnce(cluster.href, statement)
      },
    }
    lab.reset(captured)
    const { ended } = lab.start('capture', { image: CAPTURED })
    assert.equal(await lab.judgeCapture(CAPTURED, await ended), 'complete')
  })
  after(() => opened.disposeAsync())

  testCells(CELLS, () => lab)
})
