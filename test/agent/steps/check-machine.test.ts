import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { readDisks } from '#agent/inventory/disks.ts'
import { runSteps } from '#agent/run-steps.ts'
import { STEPS } from '#agent/steps/index.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import { openChunkServer, type ChunkServer } from '#test/support/chunk-server.ts'
import {
  NEEDS_ROOT,
  openLoopDevice,
  type LoopDevice,
  type LoopOptions,
} from '#test/support/loop-device.ts'
import { createTestContext, type TestContextOptions } from '#test/support/step-context.ts'

const DISK_BYTES = 12 * CHUNK_BYTES
const SYSTEM_UUID = '4c4c4544-0042-3510-8052-b7c04f4d3333'
const OTHER_UUID = '4c4c4544-0042-3510-8052-b7c04f4d4444'

function openUsedDisk(options: LoopOptions = {}): Promise<LoopDevice> {
  return openLoopDevice({ content: randomBytes(DISK_BYTES), ...options })
}

async function inventoryOf(disk: LoopDevice): Promise<Disk> {
  const disks = await readDisks(exec, [disk.path])
  return disks.find(({ path }) => path === disk.path)!
}

type Setting = Omit<TestContextOptions, 'serverUrl' | 'disk'> & {
  /** How the inventory has the disk otherwise than it is. */
  disk?: Partial<Disk>
  image?: TestContextOptions['image']
  more?: Disk[]
}

/** A whole deploy of a run as the server would send it, on a real disk. */
async function deploy(server: ChunkServer, disk: LoopDevice, setting: Setting) {
  const found = { ...(await inventoryOf(disk)), ...setting.disk }
  const context = createTestContext({
    serverUrl: server.url,
    image: { name: 'sample', digest: server.addImage(bootableImage()) },
    ...setting,
    disk: found,
    inventory: {
      disks: [found, ...(setting.more ?? [])],
      ...setting.inventory,
    },
    options: { disk: { path: disk.path }, ...setting.options },
  })
  return await runSteps({
    run: { ...context.run, steps: ['check-machine', 'write-image'] },
    inventory: context.inventory,
    chunks: context.chunks,
    steps: STEPS,
    reporter: { started() {}, progress() {}, ended() {} },
    signal: context.signal,
    log: () => {},
  })
}

/** An MBR with boot code and one Linux partition. */
function bootableImage(sizeBytes = 8 * CHUNK_BYTES): Buffer {
  const image = randomBytes(sizeBytes)
  image.fill(0, 440, 512)
  writeMbrEntry(image, { type: 0x83, sectors: 4096 })
  return image
}

/** An EFI System Partition and nothing that a BIOS could start. */
function uefiOnlyImage(): Buffer {
  const image = bootableImage()
  image.fill(0, 0, 440)
  writeMbrEntry(image, { type: 0xef, sectors: 4096 })
  return image
}

function writeMbrEntry(image: Buffer, entry: { type: number; sectors: number }): void {
  image[446 + 4] = entry.type
  image.writeUInt32LE(2048, 446 + 8)
  image.writeUInt32LE(entry.sectors, 446 + 12)
  image.writeUInt16BE(0x55aa, 510)
}

describe('check-machine', { skip: NEEDS_ROOT }, () => {
  it('lets a deploy through that nothing speaks against', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const result = await deploy(server, disk, {
      machine: { smbiosUuid: SYSTEM_UUID },
      inventory: { smbios: { uuid: SYSTEM_UUID } },
    })
    assert.partialDeepStrictEqual(result, { state: 'succeeded', receipt: { imageVerified: true } })
  })

  const sizes = `${13 * CHUNK_BYTES} bytes.*${DISK_BYTES} bytes`
  for (const [what, reason, setting] of [
    ['a locked machine', /is locked/, () => ({ machine: { locked: true } })],
    [
      'a machine with another SMBIOS UUID',
      new RegExp(`${SYSTEM_UUID}.*${OTHER_UUID}`),
      () => ({
        machine: { smbiosUuid: SYSTEM_UUID },
        inventory: { smbios: { uuid: OTHER_UUID } },
      }),
    ],
    [
      'a machine with another serial number',
      /"A1".*"B2"/,
      () => ({ machine: { smbiosSerial: 'A1' }, inventory: { smbios: { serial: 'B2' } } }),
    ],
    [
      'a disk that no hint fits',
      /No disk fits/,
      () => ({ options: { disk: { serial: 'NO SUCH DISK' } } }),
    ],
    [
      'an image larger than the disk',
      new RegExp(sizes),
      (server: ChunkServer) => ({
        image: { name: 'large', digest: server.addImage(bootableImage(13 * CHUNK_BYTES)) },
      }),
    ],
    [
      'an image for other sectors',
      /4096 bytes but disk .* has 512/,
      (server: ChunkServer) => ({
        image: {
          name: 'sectors',
          digest: server.addImage(bootableImage(), { sectorBytes: 4096 }),
        },
      }),
    ],
    [
      'an image that ends within a sector',
      /no whole number of sectors/,
      (server: ChunkServer) => ({
        image: {
          name: 'odd',
          digest: server.addImage(bootableImage(8 * CHUNK_BYTES + 512), { sectorBytes: 4096 }),
        },
        disk: { sectorBytes: 4096 },
      }),
    ],
    [
      'an image that boots on UEFI only, on a BIOS machine',
      /boots on UEFI firmware only .* started with BIOS/,
      (server: ChunkServer) => ({
        image: { name: 'uefi', digest: server.addImage(uefiOnlyImage()) },
      }),
    ],
    [
      'an image that boots on BIOS only, on a UEFI machine',
      /boots on BIOS firmware only .* started with UEFI/,
      () => ({ inventory: { firmware: 'uefi' as const } }),
    ],
    [
      'an image for another processor',
      /"aarch64" but this machine has "x86_64"/,
      (server: ChunkServer) => ({
        image: {
          name: 'arm',
          digest: server.addImage(bootableImage()),
          info: { architecture: 'aarch64' },
        },
      }),
    ],
    [
      'an image that the server lacks a part of',
      /: Image "sample" lacks a chunk; capture it again; nothing was written$/,
      (server: ChunkServer) => {
        server.fault = (request, response) => {
          if (!/by-digest.*complete=1/.test(request.url!)) return false
          const message = 'Image "sample" lacks a chunk; capture it again'
          response.writeHead(409).end(JSON.stringify({ error: { code: 'image-damaged', message } }))
          return true
        }
        return {}
      },
    ],
    ['a run without an image', /names no image/, () => ({ image: { name: 'sample' } })],
  ] satisfies [string, RegExp, (server: ChunkServer) => Setting][]) {
    it(`refuses ${what}, and the disk is unchanged`, async () => {
      await using server = await openChunkServer()
      await using disk = await openUsedDisk()
      const before = await disk.digest()
      const result = await deploy(server, disk, setting(server))
      assert.equal(result.state, 'failed')
      assert.match(result.error!, reason)
      assert.equal(result.receipt, undefined)
      assert.equal(await disk.digest(), before)
    })
  }

  it('refuses to choose between two disks, and both are unchanged', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    await using other = await openUsedDisk()
    const before = [await disk.digest(), await other.digest()]
    const result = await deploy(server, disk, {
      disk: { transport: 'sata' },
      more: [{ ...(await inventoryOf(other)), transport: 'sata' }],
      options: { disk: { minBytes: 1 } },
    })
    assert.match(result.error!, /2 disks fit/)
    assert.deepEqual([await disk.digest(), await other.digest()], before)
  })

  it('refuses a mounted disk, and leaves it unchanged', async () => {
    await using server = await openChunkServer()
    await using disk = await openLoopDevice({ sizeBytes: 16 * CHUNK_BYTES })
    await exec('mkfs.ext4', ['-q', disk.path])
    await using mounted = await openMount(disk.path, ['-o', 'ro,noload'])
    const before = await disk.digest()
    const result = await deploy(server, disk, {})
    assert.match(result.error!, new RegExp(`in use: ${disk.path} is mounted at ${mounted.folder}`))
    assert.equal(await disk.digest(), before)
  })

  it('refuses a read-only disk, and leaves it unchanged', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk({ readOnly: true })
    const before = await disk.digest()
    const result = await deploy(server, disk, {})
    assert.match(result.error!, /is read-only/)
    assert.equal(await disk.digest(), before)
  })

  it('deploys what seems unable to boot if the run is forced, with a warning', async () => {
    await using server = await openChunkServer()
    await using disk = await openUsedDisk()
    const result = await deploy(server, disk, {
      image: { name: 'uefi', digest: server.addImage(uefiOnlyImage()) },
      options: { disk: { path: disk.path }, force: true },
    })
    assert.equal(result.state, 'succeeded')
    assert.match(result.receipt!.warnings[0]!, /boots on UEFI firmware only/)
  })
})

async function openMount(device: string, options: string[]) {
  const { mkdtempDisposable } = await import('node:fs/promises')
  const { tmpdir } = await import('node:os')
  const folder = await mkdtempDisposable(`${tmpdir()}/stampede-mount-`)
  await exec('mount', [...options, device, folder.path])
  return {
    folder: folder.path,
    async [Symbol.asyncDispose]() {
      await exec('umount', [folder.path])
      await folder.remove()
    },
  }
}
