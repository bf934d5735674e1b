import { randomUUIDv7 } from 'node:crypto'
import { isIP } from 'node:net'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyRequest } from 'fastify'
import type { Mac } from '#protocol/mac.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import {
  BootyConfigSchema,
  bootyAnswer,
  findBootyMac,
  type BootyAnswer,
  type BootyConfig,
} from '#server/boot/booty.ts'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findPinnedImage } from '#server/db/images/image-digest.ts'
import { findMachineRow, touchMachine, type MachineRow } from '#server/db/machines/machines.ts'
import { findActiveRun, type RunRow } from '#server/db/runs/runs.ts'
import { appendRunLog, claimRunForBooty } from '#server/runs/moves.ts'
import { RunRefusedError } from '#server/runs/refused.ts'
import { NotFoundError } from '../http/errors.ts'
import { createLink } from '../exports/link-routes.ts'

export interface BootyRoutesOptions {
  database: OpenedDatabase
  /** How machines reach us. */
  serverUrl: () => string
  /** Whether the address is of the machine with this MAC. */
  isProven: (remoteAddress: string, mac: Mac) => Promise<boolean>
  now: () => Date
}

const USER_AGENT = 'BOOTy-client'
/** BOOTy begins at once with what its configuration says. */
const LINK_SECONDS = 3600
/** `BOOTYURL` is put before the name as it is, so one that ends in a slash gives two. */
const PATHS = ['/:file(^.+\\.bty$)', '//:file(^.+\\.bty$)', '/booty/*'] as const

/** Configurations for an unmodified BOOTy. 404 is its word for "nothing to do". */
export function bootyRoutes(options: BootyRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    for (const path of PATHS)
      app.get(
        path,
        {
          exposeHeadRoute: false, // it would claim the run as well
          config: { access: 'public' },
          schema: {
            tags: ['boot'],
            summary: "BOOTy's configuration for the machine's run: /52-54-00-12-34-56.bty",
            hide: path !== PATHS[0],
            response: { 200: BootyConfigSchema, 404: ErrorSchema },
          },
        },
        async (request, reply) => {
          const config = await claim(options, request, getMac(request))
          void reply.header('cache-control', 'no-store')
          return config
        },
      )
  }
}

function getMac({ url, headers }: FastifyRequest): Mac {
  const path = url.split('?', 1)[0]!
  const mac = findBootyMac(path)
  if (!mac)
    throw new NotFoundError(
      `There is no "${path}"; BOOTy asks for a MAC such as 52-54-00-12-34-56.bty`,
    )
  // To read a configuration is to claim the run, which must not happen to who only looks.
  if (!headers['user-agent']?.startsWith(USER_AGENT))
    throw new NotFoundError(`Only BOOTy may ask for this (User-Agent ${USER_AGENT})`)
  return mac
}

/** Makes the machine's run BOOTy's, and says how to do it. Throws NotFoundError. */
async function claim(
  options: BootyRoutesOptions,
  request: FastifyRequest,
  mac: Mac,
): Promise<BootyConfig> {
  const { database, isProven, now } = options
  const { db } = database
  const nothing = new NotFoundError(`There is nothing to do for machine ${mac}`, 'nothing-to-do')
  const machine = await findMachineRow(db, mac)
  if (!machine) throw nothing
  await touchMachine(db, machine.mac, now())
  const run = await findActiveRun(db, machine.mac)
  if (!run || run.claimedBy === 'agent') throw nothing
  // A configuration is worth a boot token, so it is given to the machine only; and to this host.
  if (!isFromThisHost(request) && !(await isProven(request.ip, mac))) {
    request.log.warn(
      { mac, remoteAddress: request.ip },
      'BOOTy asked from an address that is not known to have this MAC',
    )
    throw nothing
  }

  const answer = await answerFor(options, request, { run, machine })
  if (answer.kind === 'refused') {
    request.log.warn({ mac, run: run.id, reason: answer.reason }, 'BOOTy cannot do this run')
    // The run waits on; whoever wonders why finds it there.
    const lines = [{ at: now().toISOString(), text: `BOOTy cannot do this run: ${answer.reason}` }]
    await appendRunLog(db, run.id, run.attempts, { offset: 0, lines }, now())
    throw new NotFoundError(answer.reason, 'not-for-booty')
  }
  await claimRun(options, run.id, answer).catch((err: unknown) => {
    if (err instanceof RunRefusedError) throw nothing
    throw err
  })
  request.log.info({ mac, run: run.id, device: answer.device }, 'BOOTy claimed a run')
  return answer.config
}

async function answerFor(
  { database, serverUrl, now }: BootyRoutesOptions,
  request: FastifyRequest,
  { run, machine }: { run: RunRow; machine: MachineRow },
): Promise<BootyAnswer> {
  const imageName = run.image
  if (imageName === null) return bootyAnswer({ run, link: '' }) // refused: no image, no link
  const digest = run.imageDigest
  // Not what the name stands for by now: BOOTy itself looks neither at sizes nor at sectors.
  const image = digest === null ? undefined : await findPinnedImage(database.db, imageName, digest)
  const createdAt = now()
  const link = await createLink(
    { db: database.db, serverUrl: () => literalUrl(serverUrl(), request) },
    {
      id: randomUUIDv7(),
      kind: run.workflow === 'capture' ? 'upload' : 'download',
      imageName,
      digest,
      runId: run.id,
      createdAt,
      createdBy: null,
      expiresAt: new Date(createdAt.getTime() + LINK_SECONDS * 1000),
    },
  )
  return bootyAnswer({
    run,
    link,
    isLocked: machine.locked,
    isPlanned: run.planId !== null,
    ...(machine.inventory && { inventory: machine.inventory }),
    ...(image && { imageSize: image }),
    ...(image?.info && { imageInfo: image.info }),
  })
}

async function claimRun(
  { database, now }: BootyRoutesOptions,
  id: string,
  { device, warning }: Extract<BootyAnswer, { kind: 'config' }>,
): Promise<void> {
  const { db } = database
  const run = await claimRunForBooty(db, id, now())
  if (run.state !== 'running') throw new RunRefusedError(409, 'run-over', `The run is ${run.state}`)
  const at = now().toISOString()
  const texts = [`BOOTy does this run, with ${device}`, ...(warning === undefined ? [] : [warning])]
  const lines = texts.map((text) => ({ at, text }))
  // Not flushed: BOOTy waits 5 seconds at most, and a claim that a power cut undid is made again.
  await appendRunLog(db, id, run.attempts, { offset: 0, lines }, now())
}

/** BOOTy has no DNS: a name is replaced by the address at which it reached us. */
function literalUrl(url: string, request: FastifyRequest): string {
  const { hostname, port, protocol } = new URL(url)
  const { localAddress } = request.socket
  if (isIP(hostname.replace(/^\[|\]$/g, '')) || localAddress === undefined) return url
  const address = localAddress.replace(/^::ffff:/, '')
  const host = isIP(address) === 6 ? `[${address}]` : address
  return `${protocol}//${host}${port && `:${port}`}`
}

/** Where a proxy on this host asks, anybody may be behind it. */
const PROXY_HEADERS = ['forwarded', 'via', 'x-forwarded-for', 'x-real-ip']

function isFromThisHost({ ip, headers }: FastifyRequest): boolean {
  return /^(::ffff:)?127\.|^::1$/.test(ip) && PROXY_HEADERS.every((name) => !headers[name])
}
