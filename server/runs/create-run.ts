import { randomUUIDv7 } from 'node:crypto'
import { parseMac, type Mac } from '#protocol/mac.ts'
import type { Run, RunRequest } from '#protocol/run/run.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { countDamage } from '#server/db/images/damage-count.ts'
import type { Database, Transaction } from '#server/db/database.ts'
import { isUniqueViolation } from '#server/db/failures.ts'
import { findImageDigest, findPinnedImage } from '#server/db/images/image-digest.ts'
import { lockImageName } from '#server/db/images/image-name-lock.ts'
import { findDeployedImage } from '#server/db/machines/machine-resource.ts'
import { findMachineRow, holdMachineRow } from '#server/db/machines/machines.ts'
import { findActiveCapture, findActiveRun, insertRun, toRun } from '#server/db/runs/runs.ts'
import {
  createSteps,
  imageOf,
  refuseRun,
  runOptions,
  whyDamaged,
  type MachineSettings,
} from './new-run.ts'
import { RunRefusedError } from './refused.ts'

/** Queues a run. Throws RunRefusedError. */
export async function createRun(db: Database, request: RunRequest, now: Date): Promise<Run> {
  const mac = parseMac(request.mac)
  try {
    return await db.transaction((tx) => insert(tx, { ...request, mac }, now))
  } catch (err) {
    if (!isUniqueViolation(err)) throw err
    const machine = await findMachineRow(db, mac)
    const active = machine && (await findActiveRun(db, machine.mac))
    throw new RunRefusedError(
      409,
      'run-active',
      active
        ? `Machine "${machine.name}" (${machine.mac}) is ${active.state} with run ${active.id} (${active.workflow}); wait for its end or cancel it`
        : `Machine ${mac} had an active run; try again`,
    )
  }
}

async function insert(tx: Transaction, request: RunRequest, now: Date): Promise<Run> {
  const mac = parseMac(request.mac)
  const machine = await holdMachineRow(tx, mac)
  if (!machine)
    throw new RunRefusedError(
      422,
      'machine-unknown',
      `There is no machine with MAC ${mac}; enter it with PUT /api/machines/${mac}`,
    )
  const refused = refuseRun(request, machine)
  if (refused) throw new RunRefusedError(refused.status, refused.code, refused.message)
  const pinned = await pinRunImage(tx, request, machine)
  const row = await insertRun(tx, {
    id: randomUUIDv7(),
    mac: machine.mac,
    workflow: request.workflow,
    state: 'queued',
    ...pinned,
    options: runOptions(request, machine),
    steps: createSteps(request.workflow),
    createdAt: now,
  })
  return toRun(row)
}

async function pinRunImage(
  tx: Transaction,
  request: RunRequest,
  machine: MachineSettings & { mac: Mac },
): Promise<{ image: string | null; imageDigest: Sha256 | null }> {
  const image = imageOf(request, machine)
  if (request.workflow === 'verify' && image === undefined) return await whatShouldBe(tx, machine)
  const imageDigest = image === undefined ? null : await pinImage(tx, request.workflow, image)
  return { image: image ?? null, imageDigest }
}

/** What the last receipt says is on the disk, else the assigned image. */
async function whatShouldBe(
  tx: Transaction,
  machine: MachineSettings & { mac: Mac },
): Promise<{ image: string; imageDigest: Sha256 | null }> {
  const deployed = await findDeployedImage(tx, machine.mac)
  if (deployed) {
    if (await findPinnedImage(tx, deployed.image, deployed.imageDigest)) return deployed
    throw new RunRefusedError(
      422,
      'image-unknown',
      `What was deployed to machine "${machine.name}" (${machine.mac}), image "${deployed.image}" with digest ${deployed.imageDigest}, is not in the library any more; name the image to compare with`,
    )
  }
  if (machine.image !== null)
    return { image: machine.image, imageDigest: await pinImage(tx, 'verify', machine.image) }
  throw new RunRefusedError(
    422,
    'image-missing',
    `Nothing was deployed to machine "${machine.name}" (${machine.mac}), and no image is assigned; name the image to compare with`,
  )
}

/** The content that a deploy or verify is about, whatever the name means later; a capture has none yet. */
async function pinImage(
  tx: Transaction,
  workflow: RunRequest['workflow'],
  image: string,
): Promise<Sha256 | null> {
  if (workflow === 'capture') {
    await lockImageName(tx, image)
    const other = await findActiveCapture(tx, image)
    if (other)
      throw new RunRefusedError(
        422,
        'image-in-use',
        `Run ${other.id} is capturing into image "${image}" already; choose another name`,
      )
    return null
  }
  const digest = await findImageDigest(tx, image)
  if (digest) {
    const chunks = (await countDamage(tx, [digest])).get(digest)
    // To compare, only the hashes of chunks are needed.
    if (chunks === undefined || workflow === 'verify') return digest
    throw new RunRefusedError(409, 'image-damaged', whyDamaged(image, chunks))
  }
  throw new RunRefusedError(
    422,
    'image-unknown',
    `There is no image "${image}"; upload or capture it first`,
  )
}
