import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { describe, it } from 'node:test'
import { isZero } from '#agent/chunks/content.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Sha256 } from '#protocol/sha256.ts'
import { openChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, openLoopDevice } from '#test/support/loop-device.ts'
import { contextFor } from './sample-deploy.ts'

const PROGRAM = resolve(import.meta.dirname, '../../fixtures/deploy-program.ts')
const CHUNKS = 40
const IMAGE_BYTES = CHUNKS * CHUNK_BYTES
/** Under way when the power goes: fetched, and perhaps not written. */
const WRITERS = 16

function start(url: string, digest: Sha256, disk: string) {
  const args = [PROGRAM, url, digest, disk]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  return { child, ended: once(child, 'close') }
}

describe('a power cut in the middle of a deploy', { skip: NEEDS_ROOT }, () => {
  // Chunks are asked for after the segment; the last two are in the backup table's part and the head.
  for (const cutAt of [1, 14, 30, CHUNKS]) {
    it(`at request ${cutAt} of ${CHUNKS} leaves no bootable disk, and the next attempt fetches the rest`, async () => {
      await using server = await openChunkServer()
      const image = randomBytes(IMAGE_BYTES)
      await using disk = await openLoopDevice({ content: randomBytes(IMAGE_BYTES) })
      const digest = server.addImage(image)
      let requests = 0
      let killed: () => void = () => {}
      server.fault = ({ url }, response) => {
        if (!url!.startsWith('/chunks/') || requests++ < cutAt) return false
        killed()
        response.destroy()
        return true
      }
      const first = start(server.url, digest, disk.path)
      killed = () => first.child.kill('SIGKILL')
      await first.ended
      assert.equal(first.child.signalCode, 'SIGKILL')
      const content = await disk.content()
      assert.ok(isZero(content.subarray(0, CHUNK_BYTES)), 'The head is there before the rest')

      let fetched = 0
      server.fault = ({ url }) => {
        if (url!.startsWith('/chunks/')) fetched++
        return false
      }
      const context = await contextFor(server, disk, digest)
      await writeImage(context)
      assert.ok((await disk.content()).equals(image))
      assert.equal(context.facts.imageVerified, true)
      assert.equal(context.facts.bytesVerified, IMAGE_BYTES)
      // The segment, what was not fetched, what was under way, and eight chunks of zeroed ends.
      const most = 1 + (CHUNKS + 1 - cutAt) + WRITERS + 8
      assert.ok(fetched <= most, `${fetched} chunks were fetched, ${most} expected at most`)
    })
  }
})
