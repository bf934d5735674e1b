import assert from 'node:assert/strict'
import { randomInt } from 'node:crypto'
import { describe, it } from 'node:test'
import { IS_ROOT, mib } from '#test/agent/system/loop-disk.ts'
import {
  TEST_FILE_SYSTEMS,
  createTestFiles,
  digestsOf,
  type TestFileSystem,
} from '#test/support/file-system-disk.ts'
import { NEEDS_ROOT } from '#test/support/loop-device.ts'
import { openCapturedDisk } from './captured-disk.ts'

const CONTENT_BYTES = mib(6)
/** Other files each time; a failure is repeated with the number that it was seen with. */
const SEED = Number(process.env.SEED ?? randomInt(2 ** 31))

describe(`used blocks only, SEED=${SEED}`, { skip: !IS_ROOT && NEEDS_ROOT }, () => {
  for (const fileSystem of TEST_FILE_SYSTEMS) {
    it(`${fileSystem.name}: all files arrive, and the disk is left as it was`, async () => {
      await roundTrip(fileSystem)
    })
  }

  it('a disk with sectors of 4,096 bytes and a file system without a partition', async () => {
    const ext4 = TEST_FILE_SYSTEMS.find(({ name }) => name === 'ext4')!
    await roundTrip(ext4, { sectorBytes: 4096 })
  })
})

async function roundTrip(fileSystem: TestFileSystem, { sectorBytes }: { sectorBytes?: 4096 } = {}) {
  const files = createTestFiles(SEED, CONTENT_BYTES)
  const place = (path: string) => (sectorBytes ? path : `${path}p1`)
  await using disk = await openCapturedDisk({
    partitions: sectorBytes ? [] : [fileSystem.sizeBytes],
    sizeBytes: fileSystem.sizeBytes + mib(2),
    sectorBytes,
    async prepare({ path }) {
      await fileSystem.format(place(path))
      await fileSystem.fill(place(path), files)
    },
  })
  assert.deepEqual(disk.context.warnings, [])
  assert.ok(disk.isUntouched)
  assert.ok(disk.context.facts.bytesUnused! > fileSystem.sizeBytes / 4)
  await fileSystem.check(place(disk.target.path))
  assert.deepEqual(await fileSystem.digests(place(disk.target.path)), digestsOf(files.kept))
}
