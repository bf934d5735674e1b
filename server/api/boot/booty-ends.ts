import type { FastifyBaseLogger } from 'fastify'
import type { Image } from '#protocol/image/image-info.ts'
import type { Receipt } from '#protocol/run/run.ts'
import { bootyAnswer, findDeviceBytes, type BootyRequest } from '#server/boot/booty.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findMachineRow } from '#server/db/machines/machines.ts'
import { findRun, type RunRow } from '#server/db/runs/runs.ts'
import { endRun, type SignReceipt } from '#server/runs/moves.ts'
import { RunRefusedError } from '#server/runs/refused.ts'
import type { LinkedImageOptions } from '../exports/linked-image-routes.ts'

export interface BootyEndsOptions {
  database: OpenedDatabase
  signReceipt: SignReceipt
  log: FastifyBaseLogger
  now: () => Date
}

const UNPROVEN =
  'BOOTy reports nothing: the image was sent to it whole, but nobody read the disk back'
const UNCHECKED =
  'BOOTy reports nothing: the image is what it sent, which nobody compared to the disk'

/** How the runs end that BOOTy does: it never says so itself, but its links are used up. */
export function bootyEnds(
  options: BootyEndsOptions,
): Required<Pick<LinkedImageOptions, 'expectedUploadBytes' | 'onDelivered' | 'onUploaded'>> {
  const { database } = options
  return {
    async expectedUploadBytes(runId) {
      const run = await findRun(database.db, runId)
      return run && findDeviceBytes(await requestOf(database, run))
    },
    async onDelivered(runId, bytesSent) {
      await finish(options, runId, (run, receipt) => ({
        state: 'succeeded',
        receipt: {
          ...receipt,
          ...imageOf(run),
          delivered: true,
          bytesSent,
          warnings: [UNPROVEN, ...receipt.warnings],
        },
      }))
    },
    async onUploaded(runId, result) {
      await finish(options, runId, (run, receipt) => {
        if ('error' in result)
          return run.cancelRequested
            ? { state: 'cancelled' }
            : { state: 'failed', error: `The upload from BOOTy failed: ${result.error}` }
        return {
          state: 'succeeded',
          receipt: {
            ...receipt,
            ...imageReceipt(result.image),
            warnings: [UNCHECKED, ...receipt.warnings],
          },
        }
      })
    },
  }
}

function imageOf(run: RunRow): Partial<Receipt> {
  return {
    ...(run.image !== null && { imageName: run.image }),
    ...(run.imageDigest !== null && { imageDigest: run.imageDigest }),
  }
}

function imageReceipt({ name, digest, sizeBytes }: Image): Partial<Receipt> {
  return { imageName: name, imageDigest: digest, bytesRead: sizeBytes }
}

type Ending = Parameters<typeof endRun>[2]

async function finish(
  { database, signReceipt, log, now }: BootyEndsOptions,
  runId: string,
  ending: (run: RunRow, receipt: Receipt) => Ending,
): Promise<void> {
  const { db } = database
  const run = await findRun(db, runId)
  if (!run || run.claimedBy !== 'booty') return
  const at = now()
  const warning = await deviceWarning(database, run)
  const receipt: Receipt = {
    imageVerified: false,
    warnings: warning === undefined ? [] : [warning],
    startedAt: (run.startedAt ?? at).toISOString(),
    finishedAt: at.toISOString(),
  }
  try {
    const ended = await endRun(db, runId, ending(run, receipt), at, signReceipt)
    await database.flush()
    log.info({ mac: run.mac, run: runId, state: ended.state }, 'Run of BOOTy ended')
  } catch (err) {
    // Cancelled or timed out meanwhile, or the link was used twice.
    if (!(err instanceof RunRefusedError)) throw err
    log.info({ mac: run.mac, run: runId }, 'BOOTy used a link of a run that is over')
  }
}

/** What the run's log said of the choice of the device, for the receipt. */
async function deviceWarning(database: OpenedDatabase, run: RunRow): Promise<string | undefined> {
  const answer = bootyAnswer(await requestOf(database, run))
  return answer.kind === 'config' ? answer.warning : undefined
}

async function requestOf({ db }: OpenedDatabase, run: RunRow): Promise<BootyRequest> {
  const machine = await findMachineRow(db, run.mac)
  return { run, link: '', ...(machine?.inventory && { inventory: machine.inventory }) }
}
