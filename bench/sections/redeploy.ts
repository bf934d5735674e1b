import { randomFillSync } from 'node:crypto'
import { open, type FileHandle } from 'node:fs/promises'
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
const BLOCK_BYTES = 4096
/** To find a place: most of what is in use are files. */
const MAX_TRIES = 1000

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
      await dropCaches()
      return await work()
    },
  })
  /** Onto a disk that differs, and does no more afterwards. */
  const mending = (...what: Parameters<typeof contender>): Contender => {
    const clean = contender(...what)
    return {
      ...clean,
      async measure() {
        await spoil(target, used, DIFFERENCE_BYTES)
        return await clean.measure()
      },
    }
  }
  const ours = mending('stampede', 'Stampede, every byte read back', async () => {
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
    mending('partclone', 'curl | zstd -dc | partclone: all of it again', async () => {
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
  await using file = await open(path, 'r+')
  const chosen: number[] = []
  for (let done = 0; done < bytes; done += PLACE_BYTES) {
    const at = await findFiles(file, used, chosen)
    chosen.push(at)
    const length = Math.min(PLACE_BYTES, bytes - done)
    await file.write(randomFillSync(Buffer.alloc(length)), 0, length, at)
  }
  await file.sync()
}

/**
 * Where files are, each of their bytes as likely as any other, and not where one was written before. A file
 * system's tables and its journal are in use as well, long, and zeros for the most part: nothing to fetch.
 */
async function findFiles(
  file: FileHandle,
  used: readonly Extent[],
  chosen: readonly number[],
): Promise<number> {
  const rooms = used.filter(({ start, end }) => end - start > PLACE_BYTES)
  const total = rooms.reduce((sum, { start, end }) => sum + end - start - PLACE_BYTES, 0)
  const buffer = Buffer.alloc(PLACE_BYTES)
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    let left = Math.random() * total
    const room = rooms.find(({ start, end }) => (left -= end - start - PLACE_BYTES) < 0)
    if (!room) continue
    const at = Math.floor((room.end - PLACE_BYTES + left) / BLOCK_BYTES) * BLOCK_BYTES
    if (at < room.start || chosen.some((other) => Math.abs(other - at) < PLACE_BYTES)) continue
    await file.read(buffer, 0, PLACE_BYTES, at)
    if (shareOfContent(buffer) >= 0.9) return at
  }
  throw new Error(`No part in use was found that holds ${PLACE_BYTES} bytes of files`)
}

/** Of its blocks, those that are not zeros. */
function shareOfContent(bytes: Buffer): number {
  const zeros = Buffer.alloc(BLOCK_BYTES)
  let filled = 0
  for (let at = 0; at < bytes.length; at += BLOCK_BYTES)
    if (!bytes.subarray(at, at + BLOCK_BYTES).equals(zeros)) filled++
  return filled / (bytes.length / BLOCK_BYTES)
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
