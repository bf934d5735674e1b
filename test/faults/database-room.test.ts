import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe } from 'node:test'
import type { Image } from '#protocol/image/image-info.ts'
import { putEmbeddedDatabase } from '#test/support/database.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openSmallDisk, type SmallDisk } from '#test/support/small-disk.ts'
import { testCells, type Cell } from './cell.ts'
import { CHUNK_PATH, GOLDEN, openFaultLab, type FaultLab } from './fault-lab.ts'
import { systemDisk } from './system-disk.ts'

const DISK_MIB = 160
const IMAGE = 'captured'
const CAPTURED_SYSTEM = 300
const LAST_CHUNK = 12
const COMMIT = /\/manifest$/
const MAX_IMAGES = 200

let disk: SmallDisk

const CAPTURED: Cell<FaultLab> = {
  place: "disk of the server's database, of a capture",
  kind: 'ENOSPC',
  moment: 'from a random chunk on, until a commit is refused',
  outcomes: ['complete'],
  async run(lab, chance) {
    lab.reset(await systemDisk(CAPTURED_SYSTEM))
    const somebody = await addSomebody(lab)
    let left = chance.integer(1, LAST_CHUNK)
    lab.proxy.hold = async ({ method, path }) => {
      if (method !== 'PUT' || !CHUNK_PATH.test(path) || --left !== 0) return
      disk.fill()
      await fillTables(lab, somebody)
    }
    let refusals = 0
    lab.proxy.alterAnswer = ({ path }, body) => {
      if (!COMMIT.test(path) || !body.includes('"database-full"')) return undefined
      if (refusals++ === 0) disk.makeRoom()
      return undefined
    }
    const ended = await lab.start('capture', { image: IMAGE, serverUrl: lab.proxy.url }).ended
    assert.ok(refusals > 0)
    return await lab.judgeCapture(IMAGE, ended)
  },
}

/**
 * Tables have some room left: more names of an image take it, until one finds none. Somebody else gives them, for
 * with each of them an upload ends.
 */
async function fillTables(lab: FaultLab, headers: Record<string, string>): Promise<void> {
  const { digest } = (await (await lab.call('GET', `/api/images/${GOLDEN}`)).json()) as Image
  const manifest = await (await lab.call('GET', `/images/by-digest/${digest}`)).text()
  for (let index = 1; index <= MAX_IMAGES; index++) {
    const call = { method: 'PUT', headers, body: manifest }
    const answer = await fetch(`${lab.server.url}/api/images/name-${index}/manifest`, call)
    if (answer.status === 201) continue
    assert.equal(answer.status, 507, await answer.text())
    return
  }
  assert.fail(`${MAX_IMAGES} images found room in the database`)
}

/** Signed in, by the headers of what they ask. */
async function addSomebody(lab: FaultLab): Promise<Record<string, string>> {
  const account = { name: 'somebody', password: 'a sentence that nobody guesses' }
  const user = { ...account, role: 'operator' }
  const added = await lab.call('POST', '/api/users', JSON.stringify(user))
  assert.equal(added.status, 201, await added.text())
  const session = await lab.call('POST', '/api/session', JSON.stringify(account))
  assert.ok(session.ok, String(session.status))
  const { csrfToken } = (await session.json()) as { csrfToken: string }
  const cookie = session.headers.getSetCookie().map((text) => text.split(';')[0]!)
  return { cookie: cookie.join('; '), 'x-csrf-token': csrfToken }
}

describe("the disk of the server's database", { skip: NEEDS_ROOT }, () => {
  let lab: FaultLab
  const opened = new AsyncDisposableStack()
  before(async () => {
    const store = opened.adopt(await mkdtemp(join(tmpdir(), 'stampede-store-')), (path) =>
      rm(path, { recursive: true, force: true }),
    )
    disk = opened.use(await openSmallDisk(DISK_MIB))
    await putEmbeddedDatabase(disk.path)
    const env = { STAMPEDE_STORE: `file:${store}` }
    lab = opened.use(await openFaultLab({ dataFolder: disk.path, env }))
  })
  after(() => opened.disposeAsync())

  testCells([CAPTURED], () => lab)
})
