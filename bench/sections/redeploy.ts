import { randomFillSync } from 'node:crypto'
import { open } from 'node:fs/promises'
import { exec } from '#agent/exec.ts'
import type { Measurement } from '../measurement.ts'
import { dropCaches, measureAll, timePipeline, type Contender } from '../rounds.ts'
import { IMAGE, type Setting } from '../setting.ts'
import { needPeerFile } from './peer-files.ts'
import type { SectionResult } from './section.ts'

/** What somebody did to a disk since it was deployed: files written anew here and there. */
const DIFFERENCE_BYTES = 100e6
/** As long as files are; a multiple of a sector, not of a chunk. */
const PLACE_BYTES = 4_096_000
const READ_BYTES = 4 * 1024 * 1024

interface Extent {
  start: number
  end: number
}

/** The image comes onto a disk that holds it already, but for a hundred megabytes. */
export async function benchRedeploy(setting: Setting): Promise<SectionResult> {
  const { options, target, targetPartition, nginx, disk, folder } = setting
  await setting.needImage()
  await needPeerFile(setting, 'partclone.zst')
  const deploy = setting.agent(`deploy --yes --disk ${target} --image ${IMAGE}`)
  await setting.blankTarget()
  await timePipeline(deploy)
  const used = await usedExtents(setting)
  const fetched: number[] = []
  const compared: number[] = []

  const contender = (key: string, name: string, work: () => Promise<number>): Contender => ({
    key: `redeploy/${key}`,
    name,
    unit: 'seconds',
    async measure() {
      await spoil(target, used, DIFFERENCE_BYTES)
      await dropCaches()
      return await work()
    },
  })
  const ours = contender('stampede', 'Stampede, every byte read back', async () => {
    const { seconds, stdout } = await timePipeline(deploy)
    const receipt = JSON.parse(stdout) as { bytesFetched?: number; bytesSkipped?: number }
    fetched.push(receipt.bytesFetched ?? Number.NaN)
    compared.push(receipt.bytesSkipped ?? Number.NaN)
    return seconds
  })
  const restore = `partclone.ext4 -r -s - -o ${targetPartition} -L ${folder}/partclone.log`
  const contenders = [
    ours,
    contender('read-used', 'reading the used part of the disk once', () => readAll(target, used)),
    contender('partclone', 'curl | zstd -dc | partclone: all of it again', async () => {
      const command = `curl -sf ${nginx.url}/partclone.zst | zstd -dcq | ${restore}; sync ${targetPartition}`
      return (await timePipeline({ command })).seconds
    }),
  ]
  const times = await measureAll(contenders, options.rounds)
  const bytes: Measurement[] = [
    {
      key: 'redeploy/stampede-bytes',
      name: 'Stampede, over the network',
      unit: 'bytes',
      rounds: fetched,
    },
    {
      key: 'redeploy/difference',
      name: 'what differs',
      unit: 'bytes',
      rounds: [DIFFERENCE_BYTES],
    },
  ]
  const usedBytes = used.reduce((sum, { start, end }) => sum + end - start, 0)
  return {
    measurements: [...times, ...bytes],
    tables: [
      { title: 'deploy again, where 100 MB differ', rows: times },
      { title: 'bytes over the network', rows: bytes },
    ],
    notes: [
      `Used: ${Math.round(usedBytes / 1e6)} of ${Math.round(disk.sizeBytes / 1e6)} MB; ` +
        `found on the disk and left there: ${Math.round(compared.at(-1)! / 1e6)} MB`,
    ],
  }
}

/** Where partclone finds blocks in use, in bytes of the disk. */
async function usedExtents({ sourcePartition, disk, folder }: Setting): Promise<Extent[]> {
  const map = `${folder}/used.map`
  const log = ['-L', `${folder}/partclone.log`]
  await exec('partclone.ext4', ['-D', '-s', sourcePartition, '-o', map, ...log], {
    timeoutSeconds: 120,
  })
  const { stdout } = await exec('cat', [map])
  const { startBytes } = disk.partition
  return [...stdout.matchAll(/^(0x[0-9A-F]+) +(0x[0-9A-F]+) +\+/gim)].map(([, start, length]) => ({
    start: startBytes + Number(start),
    end: startBytes + Number(start) + Number(length),
  }))
}

/** Random bytes at places spread over what is in use, others each time. */
async function spoil(path: string, used: readonly Extent[], bytes: number): Promise<void> {
  const long = used.filter(({ start, end }) => end - start > 2 * PLACE_BYTES)
  if (long.length === 0) throw new Error('No part in use is long enough to be written over')
  await using file = await open(path, 'r+')
  for (let place = 0; place * PLACE_BYTES < bytes; place++) {
    const { start, end } =
      long[
        Math.floor(((place + Math.random()) * long.length) / (bytes / PLACE_BYTES)) % long.length
      ]!
    const room = Math.floor((end - start - PLACE_BYTES) / 4096)
    const length = Math.min(PLACE_BYTES, bytes - place * PLACE_BYTES)
    const at = start + Math.floor(Math.random() * room) * 4096
    await file.write(randomFillSync(Buffer.alloc(length)), 0, length, at)
  }
  await file.sync()
}

/** As one program would, one read after the other; seconds. */
async function readAll(path: string, extents: readonly Extent[]): Promise<number> {
  const buffer = Buffer.alloc(READ_BYTES)
  const start = performance.now()
  await using file = await open(path, 'r')
  for (const { start: first, end } of extents)
    for (let at = first; at < end;) {
      const { bytesRead } = await file.read(buffer, 0, Math.min(READ_BYTES, end - at), at)
      if (bytesRead === 0) throw new Error(`"${path}" ended at byte ${at}`)
      at += bytesRead
    }
  return (performance.now() - start) / 1000
}
