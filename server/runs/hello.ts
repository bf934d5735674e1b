import type { AgentRun } from '#protocol/run/agent.ts'
import { imageNameOf } from '#protocol/image/image-reference.ts'
import type { Inventory } from '#protocol/machine/inventory.ts'
import { MAC_PATTERN, parseMac, type Mac } from '#protocol/mac.ts'
import { identifyingText, identityMismatch } from '#protocol/machine/machine-identity.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import type { Database, Transaction } from '#server/db/database.ts'
import { findPinnedImage } from '#server/db/images/image-digest.ts'
import { saveBootStep } from '#server/db/machines/machine-boot.ts'
import {
  findMachineRow,
  insertMachine,
  recordMachine,
  saveInventory,
  type MachineRow,
} from '#server/db/machines/machines.ts'
import { findActiveRun, findRun, type RunRow } from '#server/db/runs/runs.ts'
import { findSwappedSession, saveSession, takeBootToken } from '#server/db/machines/tokens.ts'
import { failRun, helloRun, throwRefusal } from './moves.ts'
import { RunRefusedError } from './refused.ts'
import { isAtWork, isUnreported } from './rules.ts'

export interface HelloRequest {
  bootTokenHash: Sha256
  sessionTokenHash: Sha256
  mac: Mac
  inventory: Inventory
}

/** A machine with more cards than this is none; their MACs are keys of the database. */
const MAX_MACS = 256

/**
 * An agent's first words: its boot token becomes a session, its inventory the machine's, and the
 * machine's run its own. Returns null if there is no run. Throws RunRefusedError.
 */
export async function sayHello(
  db: Database,
  request: HelloRequest,
  now: Date,
): Promise<AgentRun | null> {
  const outcome = await db.transaction((tx) => hello(tx, request, now))
  // Thrown after the commit: the run that ended because of it stays ended.
  if (outcome instanceof RunRefusedError) throw outcome
  return outcome
}

/** A refusal that it returns is committed, one that it throws leaves the token good. */
async function hello(
  tx: Transaction,
  request: HelloRequest,
  now: Date,
): Promise<AgentRun | null | RunRefusedError> {
  const { bootTokenHash, sessionTokenHash, mac, inventory } = request
  if (!(await takeBootToken(tx, bootTokenHash, mac, now))) return answerAgain(tx, request, now)
  const machine = await getMachine(tx, mac)
  const active = await findActiveRun(tx, machine.mac)

  const mismatch = identityMismatch(
    { uuid: machine.smbiosUuid ?? undefined, serial: machine.smbiosSerial ?? undefined },
    inventory.smbios,
  )
  if (mismatch) {
    // A clone with the same MAC does not end what the right machine is in the middle of.
    if (active && !isAtWork(active, now)) await failRun(tx, active.id, mismatch, now)
    return new RunRefusedError(409, 'other-machine', mismatch)
  }

  await saveInventory(tx, machine, {
    inventory,
    macs: macsOf(inventory, mac),
    smbiosUuid: identifyingText(inventory.smbios.uuid) && inventory.smbios.uuid,
    smbiosSerial: identifyingText(inventory.smbios.serial) && inventory.smbios.serial,
    now,
  })
  const claimed = active && (await claim(tx, active.id, inventory, now))
  if (claimed instanceof RunRefusedError) return claimed
  await saveSession(tx, {
    hash: sessionTokenHash,
    bootTokenHash,
    mac,
    runId: claimed?.id ?? null,
    attempt: claimed?.attempts ?? 0,
    now,
  })
  const detail = claimed ? `${claimed.workflow}, attempt ${claimed.attempts}` : 'inventory'
  await saveBootStep(tx, machine, { stage: 'agent', at: now, detail })
  await recordMachine(tx, machine.mac)
  return claimed ? toAgentRun(tx, await getMachine(tx, mac), claimed) : null
}

/**
 * An agent that did not hear our answer says hello once more. Until its first report it gets another
 * session of the same attempt, and nothing else changes. The earlier one stays good: which of two
 * answers got lost is not known here. One that had no run hears that again. Throws RunRefusedError.
 */
async function answerAgain(
  tx: Transaction,
  { bootTokenHash, sessionTokenHash, mac }: HelloRequest,
  now: Date,
): Promise<AgentRun | null> {
  const swapped = await findSwappedSession(tx, bootTokenHash, mac, now)
  if (swapped?.runId === null) return null
  const run = swapped?.runId ? await findRun(tx, swapped.runId) : undefined
  if (!swapped || !run || !isUnreported(run, swapped.attempt))
    throw new RunRefusedError(
      401,
      'boot-token-invalid',
      `The boot token is not one for ${mac}, was used, or has expired; boot the machine again`,
    )
  await saveSession(tx, { hash: sessionTokenHash, bootTokenHash, mac, ...swapped, now })
  return toAgentRun(tx, await getMachine(tx, mac), run)
}

async function getMachine(tx: Transaction, mac: Mac): Promise<MachineRow> {
  const present = await findMachineRow(tx, mac)
  if (present) return present
  await insertMachine(tx, mac, false)
  return (await findMachineRow(tx, mac))!
}

/** Undefined if the run turned out to be cancelled. */
async function claim(
  tx: Transaction,
  id: string,
  inventory: Inventory,
  now: Date,
): Promise<RunRow | RunRefusedError | undefined> {
  const { run, refusal } = await helloRun(tx, id, inventory, now)
  if (refusal?.code === 'too-many-attempts' || refusal?.code === 'plan-mismatch')
    return new RunRefusedError(409, refusal.code, refusal.message)
  throwRefusal(id, refusal)
  return run.state === 'running' ? run : undefined
}

function macsOf(inventory: Inventory, bootedFrom: Mac): Mac[] {
  const pattern = new RegExp(MAC_PATTERN)
  const macs = inventory.nics.map(({ mac }) => mac).filter((mac) => pattern.test(mac))
  const real = macs.map(parseMac).filter((mac) => mac !== '00:00:00:00:00:00')
  return [...new Set([bootedFrom, ...real])].slice(0, MAX_MACS)
}

async function toAgentRun(tx: Transaction, machine: MachineRow, run: RunRow): Promise<AgentRun> {
  return {
    id: run.id,
    attempt: run.attempts,
    workflow: run.workflow,
    steps: run.steps.map(({ name }) => name),
    machine: {
      mac: machine.mac,
      locked: machine.locked,
      ...(machine.smbiosUuid !== null && { smbiosUuid: machine.smbiosUuid }),
      ...(machine.smbiosSerial !== null && { smbiosSerial: machine.smbiosSerial }),
    },
    ...(run.image !== null && { image: await imageOf(tx, run.image, run.imageDigest) }),
    ...(run.expected && { expected: run.expected }),
    options: run.options,
  }
}

async function imageOf(
  tx: Transaction,
  name: string,
  digest: Sha256 | null,
): Promise<NonNullable<AgentRun['image']>> {
  if (digest === null) return { name }
  // Agents know images by digest; older ones would not take a version for a part of a name.
  return { name: imageNameOf(name), digest, ...(await findPinnedImage(tx, name, digest)) }
}
