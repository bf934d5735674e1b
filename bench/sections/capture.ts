import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Measurement } from '../measurement.ts'
import { openStandIn } from '../open-stand-in.ts'
import { dropCaches, measureAll, timePipeline, type Contender } from '../rounds.ts'
import { IMAGE, storedBytes, type Setting } from '../setting.ts'
import { peerCommand, type PeerFile } from './peer-files.ts'
import type { SectionResult } from './section.ts'

/** A disk becomes an image: how long that takes, and how much is kept. */
export async function benchCapture(setting: Setting): Promise<SectionResult> {
  const { options, peerFolder } = setting
  await using standIn = await openStandIn()
  const call = `capture --disk ${setting.source} --image ${IMAGE}`
  const stored = new Map<string, number>()

  const peer = (key: string, name: string, file: PeerFile): Contender => ({
    key: `capture/${key}`,
    name,
    unit: 'seconds',
    async measure() {
      await dropCaches()
      const { seconds } = await timePipeline({ command: peerCommand(setting, file) })
      stored.set(key, (await stat(join(peerFolder, file))).size)
      return seconds
    },
  })
  const ours: Contender = {
    key: 'capture/stampede',
    name: 'Stampede, every chunk hashed',
    unit: 'seconds',
    async measure() {
      await setting.forgetImages()
      await dropCaches()
      const { seconds } = await timePipeline(setting.agent(call))
      stored.set('stampede', await storedBytes(setting.server))
      return seconds
    },
  }
  const agentAlone: Contender = {
    key: 'capture/stampede-agent',
    name: 'Stampede, its server on a machine of its own (a stand-in that keeps nothing)',
    unit: 'seconds',
    async measure() {
      await dropCaches()
      const { seconds } = await timePipeline(setting.agent(call, standIn.url))
      return seconds
    },
  }
  const storing = [
    ours,
    peer('partclone', 'partclone | zstd -3 -T0, used blocks only', 'partclone.zst'),
    peer('zstd', 'zstd -3 -T0', 'image.zst'),
    ...(options.isQuick ? [] : [peer('pigz', 'pigz -1', 'image.gz')]),
  ]
  const times = await measureAll([...storing, agentAlone], options.rounds)
  const sizes = storing.map(({ key, name }): Measurement => {
    const contender = key.slice('capture/'.length)
    return { key: `${key}-stored`, name, unit: 'bytes', rounds: [stored.get(contender)!] }
  })
  return {
    measurements: [...times, ...sizes],
    tables: [
      { title: 'capture from a loop device', rows: times },
      { title: 'image stored', rows: sizes },
    ],
  }
}
