import type { FastifyRequest } from 'fastify'
import type { Sha256 } from '#protocol/sha256.ts'
import { UPLOAD_HEADER, UPLOAD_ID_PATTERN } from '#protocol/image/upload-header.ts'
import { ForbiddenError } from '../http/errors.ts'
import type { ImageLibrary } from './image-library.ts'

/** What an agent may do with chunks and images, beyond what its token lets it do at all. */

const UPLOAD_ID = new RegExp(UPLOAD_ID_PATTERN)

/** Whose upload the chunks of this caller belong to. */
export function uploadHolder({ principal, headers }: FastifyRequest): string {
  switch (principal.kind) {
    case 'agent':
      return `run:${principal.session.run?.id}`
    case 'person': {
      const id = String(headers[UPLOAD_HEADER] ?? '')
      const user = `user:${principal.userId ?? 'admin'}`
      return UPLOAD_ID.test(id) ? `${user}:${id}` : user
    }
    case 'none':
      throw new ForbiddenError('Nobody uploads without saying who they are')
  }
}

/** Who made a version of an image, as its history tells. */
export function originOf({ principal }: FastifyRequest): { createdBy: string; runId?: string } {
  switch (principal.kind) {
    case 'agent': {
      const { mac, run } = principal.session
      return { createdBy: mac, ...(run && { runId: run.id }) }
    }
    case 'person':
      return { createdBy: principal.name }
    case 'none':
      return { createdBy: 'anonymous' }
  }
}

/** Throws ForbiddenError for an agent whose run is no capture. */
export function checkMayWrite({ principal }: FastifyRequest): void {
  if (principal.kind === 'agent' && principal.session.run?.workflow !== 'capture')
    throw new ForbiddenError('Only a capture may store chunks and images')
}

/** Throws ForbiddenError for an agent that captures another image. */
export function checkMayWriteImage(request: FastifyRequest, name: string): void {
  checkMayWrite(request)
  const { principal } = request
  if (principal.kind === 'agent' && principal.session.run?.image !== name)
    throw new ForbiddenError(
      `This run captures image "${principal.session.run?.image}", not "${name}"`,
    )
}

/** Throws ForbiddenError for an agent whose run is about another image. */
export function checkMayReadManifest({ principal }: FastifyRequest, digest: Sha256): void {
  if (principal.kind === 'agent' && principal.session.run?.imageDigest !== digest)
    throw new ForbiddenError("An agent may only read its run's own image")
}

/** Throws ForbiddenError for an agent whose run's image has no such chunk. */
export async function checkMayReadChunk(
  { principal }: FastifyRequest,
  hash: Sha256,
  library: ImageLibrary,
): Promise<void> {
  if (principal.kind !== 'agent') return
  const digest = principal.session.run?.imageDigest
  if (!digest || !(await library.isChunkOf(hash, digest)))
    throw new ForbiddenError("An agent may only read the chunks of its run's own image")
}
