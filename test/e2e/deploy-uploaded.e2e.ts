import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { before, describe, it } from 'node:test'
import { goldenImage } from '#lab/golden-images.ts'
import type { GoldenName } from '#lab/golden-recipes.ts'
import type { Lab } from '#lab/scenario.ts'
import { deployAndAsk, inLab } from '#test/support/lab-deployment.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'
const UPLOAD_TIMEOUT_MS = 5 * 60_000

describe('an uploaded image in a virtual machine', { skip: NEEDS_ROOT }, () => {
  before(async () => {
    await goldenImage('c', (message) => process.stderr.write(`${message}\n`))
  })

  it('with GPT and XFS is deployed under UEFI though the server is killed meanwhile', () =>
    inLab(async (lab) => {
      await upload(lab, 'c')
      let restarted: Promise<void> | undefined
      await deployAndAsk(lab, {
        name: 'virtio-uefi',
        mac: '52:54:00:5a:01:03',
        image: 'c',
        firmware: 'uefi',
        bus: 'virtio',
        onProgress({ steps }) {
          const write = steps.find(({ name }) => name === 'write-image')
          if (write && write.bytesDone > 0) restarted ??= restart(lab)
        },
      })
      assert.ok(restarted, 'The server was not killed while the image was written')
      await restarted
    }))
})

async function restart({ server }: Lab): Promise<void> {
  await server.kill()
  await server.start()
}

async function upload(lab: Lab, name: GoldenName): Promise<void> {
  const { url, token } = lab.server.api
  const response = await fetch(new URL(`/api/images/${name}`, url), {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/octet-stream' },
    body: createReadStream(await goldenImage(name)),
    duplex: 'half',
    signal: AbortSignal.timeout(UPLOAD_TIMEOUT_MS),
  })
  assert.equal(response.status, 201, await response.text())
}
