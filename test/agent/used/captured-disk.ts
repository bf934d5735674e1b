import { readDiskAt } from '#agent/inventory/disks.ts'
import { exec } from '#agent/exec.ts'
import { readImage } from '#agent/steps/read-image.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { RunOptions } from '#protocol/run/run.ts'
import { openLoopDisk, type LoopDisk } from '#test/agent/system/loop-disk.ts'
import { openChunkServer } from '#test/support/chunk-server.ts'
import { fileDigest } from '#test/support/loop-device.ts'
import { createTestContext, type TestContext } from '#test/support/step-context.ts'

/** A disk that was captured and deployed to another, which held noise before. */
export interface CapturedDisk extends AsyncDisposable {
  readonly source: LoopDisk
  readonly target: LoopDisk
  readonly context: TestContext
  readonly info: ImageInfo
  /** Whether not a byte of the source is another than before. */
  readonly isUntouched: boolean
}

export interface CaptureOptions {
  /** Bytes of each partition; none: no partition table. Or a script for sfdisk. */
  partitions: number[] | string
  sizeBytes: number
  sectorBytes?: 512 | 4096
  prepare(disk: LoopDisk): Promise<void>
  options?: Partial<RunOptions>
}

export async function openCapturedDisk(wanted: CaptureOptions): Promise<CapturedDisk> {
  await using opened = new AsyncDisposableStack()
  const { sizeBytes, sectorBytes = 512 } = wanted
  const server = opened.use(await openChunkServer())
  const source = opened.use(await openLoopDisk(sizeBytes, sectorBytes))
  if (typeof wanted.partitions === 'string') await source.sfdisk(wanted.partitions)
  else if (wanted.partitions.length > 0) {
    const lines = wanted.partitions.map((bytes) => `size=${bytes / sectorBytes}`)
    await source.sfdisk(`label: gpt\n${lines.join('\n')}\n`)
  }
  await wanted.prepare(source)
  await flush(source)
  const before = await fileDigest(source.path)

  const disk = await readDiskAt(exec, source.path)
  const common = { serverUrl: server.url, image: { name: 'captured' }, options: wanted.options }
  const context = createTestContext({ ...common, workflow: 'capture', disk })
  await readImage(context)
  await flush(source)
  const isUntouched = (await fileDigest(source.path)) === before

  const target = opened.use(await openLoopDisk(sizeBytes, sectorBytes))
  await fillWithNoise(target)
  const { digest, info } = server.images.get('captured')!
  const deploy = { ...common, image: { name: 'captured', digest }, workflow: 'deploy' as const }
  const targetDisk = await readDiskAt(exec, target.path)
  await writeImage(createTestContext({ ...deploy, disk: targetDisk }))
  await exec('partx', ['--add', target.path], { allowExitCodes: [1] })
  const resources = opened.move()
  return {
    source,
    target,
    context,
    info: info as ImageInfo,
    isUntouched,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}

async function flush(disk: LoopDisk): Promise<void> {
  await exec('sync', ['-d', disk.path])
  await exec('blockdev', ['--flushbufs', disk.path])
}

/** What is in free blocks afterwards, so that a mistake shows. */
async function fillWithNoise({ path }: LoopDisk): Promise<void> {
  const noise = 'openssl enc -aes-128-ctr -pass pass:noise -nosalt -in /dev/zero 2>/dev/null'
  const script = `${noise} | dd of="$0" bs=1M iflag=fullblock 2>/dev/null; sync -d "$0"`
  await exec('sh', ['-c', script, path])
}
