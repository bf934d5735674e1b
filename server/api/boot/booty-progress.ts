import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { OpenedDatabase } from '#server/db/database.ts'
import { findLink, type Link } from '#server/db/images/links.ts'
import { touchRun } from '#server/runs/moves.ts'
import { RunRefusedError } from '#server/runs/refused.ts'
import { hashToken } from '../access/auth.ts'

export interface BootyProgressOptions {
  database: OpenedDatabase
  now: () => Date
}

const LINK_ROUTE = '/l/:token/:file'
const REPORT_MILLISECONDS = 2000

/**
 * Reports for BOOTy, which does not: as long as bytes pass through a link of its run, the run shows
 * how many, and does not time out. To be called before the link routes are registered.
 */
export function reportBootyProgress(app: FastifyInstance, options: BootyProgressOptions): void {
  app.addHook('preHandler', async (request, reply) => {
    if (request.routeOptions.url !== LINK_ROUTE || request.method === 'HEAD') return
    const { token = '' } = request.params as { token?: string }
    const link = await findLink(options.database.db, hashToken(token), options.now())
    if (link?.runId) watch(options, request, reply, { ...link, runId: link.runId })
  })
}

function watch(
  { database, now }: BootyProgressOptions,
  request: FastifyRequest,
  reply: FastifyReply,
  { runId, kind }: Link & { runId: string },
): void {
  const { socket } = request
  const isDownload = kind === 'download'
  const count = () => (isDownload ? socket.bytesWritten : socket.bytesRead)
  const startBytes = count()
  let lastBytes = 0
  let isReporting = false

  async function report(): Promise<void> {
    const bytesDone = count() - startBytes
    if (isReporting || bytesDone === lastBytes) return // a stalled client may time out
    isReporting = true
    const bytesPerSecond = Math.round((bytesDone - lastBytes) / (REPORT_MILLISECONDS / 1000))
    lastBytes = bytesDone
    // The length of an upload is not known, and that of a download covers the headers too, nearly.
    const bytesTotal = isDownload
      ? Math.max(Number(reply.getHeader('content-length')), bytesDone)
      : 0
    const step = isDownload ? 'write-image' : 'read-image'
    try {
      await touchRun(database.db, runId, { step, bytesDone, bytesTotal, bytesPerSecond }, now())
    } catch (err) {
      if (err instanceof RunRefusedError) clearInterval(timer)
      else request.log.warn({ err, run: runId }, 'Progress of BOOTy could not be recorded')
    } finally {
      isReporting = false
    }
  }

  const timer = setInterval(() => void report(), REPORT_MILLISECONDS)
  reply.raw.once('close', () => clearInterval(timer))
}
