import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { describe, it } from 'node:test'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { exec } from '#agent/exec.ts'
import { readImage } from '#agent/steps/read-image.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { IS_ROOT, mib, openLoopDisk, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { openChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, fileDigest } from '#test/support/loop-device.ts'
import {
  TEST_FILE_SYSTEMS,
  createTestFiles,
  digestsOf,
  type TestFileSystem,
} from '#test/support/file-system-disk.ts'
import { createTestContext } from '#test/support/step-context.ts'

const CONTENT_BYTES = mib(12)
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31))

describe(`used blocks only (SEED=${SEED})`, { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  for (const fileSystem of TEST_FILE_SYSTEMS) {
    it(`${fileSystem.name}: all files arrive, and the disk is left as it was`, async () => {
      await using server = await openChunkServer()
      const files = createTestFiles(SEED, CONTENT_BYTES)
      await using source = await openDisk(fileSystem)
      await fileSystem.format(source.partition(1))
      await fileSystem.fill(source.partition(1), files)
      await exec('sync', ['-d', source.path])
      const before = await fileDigest(source.path)

      const disk = await readDiskAt(exec, source.path)
      const common = { serverUrl: server.url, image: { name: 'captured' } }
      const capture = createTestContext({ ...common, workflow: 'capture', disk })
      await readImage(capture)
      assert.deepEqual(capture.warnings, [])
      assert.equal(await fileDigest(source.path), before)
      assert.ok(capture.facts.bytesUnused! > fileSystem.sizeBytes / 4)

      await using target = await openDisk()
      await fillWithNoise(target)
      const { digest } = server.images.get('captured')!
      const deploy = { ...common, image: { name: 'captured', digest }, workflow: 'deploy' as const }
      const targetDisk = { path: target.path, sizeBytes: disk.sizeBytes }
      await writeImage(createTestContext({ ...deploy, disk: targetDisk }))
      await exec('partx', ['--add', target.path])
      await fileSystem.check(target.partition(1))
      assert.deepEqual(await fileSystem.digests(target.partition(1)), digestsOf(files.kept))

      async function openDisk(made?: TestFileSystem): Promise<LoopDisk> {
        const opened = await openLoopDisk(fileSystem.sizeBytes + mib(2))
        if (made) await opened.sfdisk(`label: gpt\nsize=${made.sizeBytes / 512}\n`)
        return opened
      }
    })
  }
})

/** What free blocks hold afterwards, and a mistake would show. */
async function fillWithNoise(disk: LoopDisk): Promise<void> {
  await exec('sh', [
    '-c',
    'openssl enc -aes-128-ctr -pass pass:noise -in /dev/zero 2>/dev/null | dd of="$0" bs=1M iflag=fullblock 2>/dev/null; sync -d "$0"',
    disk.path,
  ])
}
