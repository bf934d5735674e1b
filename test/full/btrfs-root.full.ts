import assert from 'node:assert/strict'
import { mkdtempDisposable, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { readImage } from '#agent/steps/read-image.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { openMount } from '#agent/system/mount.ts'
import { goldenImage } from '#lab/golden-images.ts'
import { GOLDEN_PASSWORD } from '#lab/golden-recipes.ts'
import { openMachine } from '#lab/machine.ts'
import { openChunkServer } from '#test/support/chunk-server.ts'
import { fileDigest } from '#test/support/loop-device.ts'
import { createTestContext } from '#test/support/step-context.ts'

const TARGET_BYTES = 6 * 1024 ** 3
const ROOT_PARTITION = 3
const DIFF_SECONDS = 600

describe('a Debian on btrfs with subvolumes', () => {
  it('is captured by its used blocks, and its copy is sound, equal, and boots', async () => {
    const golden = await goldenImage('d', (message) => process.stderr.write(`${message}\n`))
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-btrfs-'))
    const copy = join(folder.path, 'copy.raw')
    await writeFile(copy, '')
    await truncate(copy, TARGET_BYTES)
    const before = await fileDigest(golden)
    {
      await using source = await openLoop(golden, ['--read-only'])
      await using target = await openLoop(copy, [])
      const context = await captureAndDeploy(source.path, target.path)
      assert.deepEqual(context.warnings, [])
      assert.ok(context.facts.bytesUnused! > 2 * 1024 ** 3)
      await exec('partx', ['--update', target.path], { allowExitCodes: [1] })
      await assertEqualFiles(source.path, target.path)
      await exec('partx', ['--delete', target.path])
    }
    assert.equal(await fileDigest(golden), before)
    await assertBoots(copy, join(folder.path, 'machine'))
  })
})

async function captureAndDeploy(source: string, target: string) {
  await using server = await openChunkServer()
  const common = { serverUrl: server.url, image: { name: 'captured' } }
  const disk = await readDiskAt(exec, source)
  const capture = createTestContext({ ...common, workflow: 'capture', disk })
  await readImage(capture)
  const { digest, info } = server.images.get('captured')!
  assert.partialDeepStrictEqual(info, {
    operatingSystem: 'Debian GNU/Linux 12 (bookworm)',
    architecture: 'x86_64',
    rootPartition: ROOT_PARTITION,
  })
  const image = { name: 'captured', digest }
  const targetDisk = await readDiskAt(exec, target)
  await writeImage(createTestContext({ ...common, image, workflow: 'deploy', disk: targetDisk }))
  return capture
}

/** One after the other: with both in sight, the kernel would take one for the other's twin. */
async function assertEqualFiles(source: string, target: string): Promise<void> {
  await exec('btrfs', ['check', '--readonly', '--check-data-csum', `${target}p${ROOT_PARTITION}`])
  const [original, copied] = [await listFiles(source), await listFiles(target)]
  for (const path of ['./@home 755', './@snapshots/installed/etc/os-release'])
    assert.ok(copied.includes(path))
  assert.ok(copied === original, 'the files differ')
}

/** Every file of every subvolume with its checksum, mode, owner and target. */
async function listFiles(disk: string): Promise<string> {
  await using view = await openPartition(disk)
  const options = ['subvolid=5']
  const request = { device: view.path, fileSystem: 'btrfs', mode: 'look' as const, options }
  await using mount = await openMount(exec, request)
  const script = `cd "$0"; find . -printf '%p %m %U %G %s %l\\n' | LC_ALL=C sort
    find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`
  const { stdout } = await exec('sh', ['-c', script, mount.path], { timeoutSeconds: DIFF_SECONDS })
  return stdout
}

async function openPartition(disk: string) {
  const { partitions } = await readDiskAt(exec, disk)
  const { startBytes, sizeBytes } = partitions.find(({ number }) => number === ROOT_PARTITION)!
  const range = ['--offset', String(startBytes), '--sizelimit', String(sizeBytes)]
  return await openLoop(disk, ['--read-only', ...range])
}

async function openLoop(file: string, options: string[]) {
  const { stdout } = await exec('losetup', ['--find', '--show', ...options, file])
  const path = stdout.trim()
  return {
    path,
    [Symbol.asyncDispose]: () => exec('losetup', ['--detach', path]).then(() => undefined),
  }
}

async function assertBoots(file: string, folder: string): Promise<void> {
  await using machine = await openMachine({
    name: 'btrfs',
    folder,
    firmware: 'bios',
    disks: [{ file, format: 'raw', bus: 'virtio', serial: 'COPY' }],
  })
  const { console } = machine
  await console.login(GOLDEN_PASSWORD)
  assert.match(await console.shell('findmnt --noheadings --output OPTIONS /'), /subvol=\/@/)
  assert.match(await console.shell('btrfs subvolume list /'), /@snapshots\/installed/)
  assert.match(await console.shell('btrfs device stats /'), /corruption_errs\s+0/)
}
