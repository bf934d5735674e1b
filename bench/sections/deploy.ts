import { exec } from '#agent/exec.ts'
import { measureAll, timePipeline, type Contender, type Pipeline } from '../rounds.ts'
import { IMAGE, type Setting } from '../setting.ts'
import { needPeerFile } from './peer-files.ts'
import type { SectionResult } from './section.ts'

const COMPARE_SECONDS = 900

/** An image comes onto a blank disk. */
export async function benchDeploy(setting: Setting): Promise<SectionResult> {
  const { options, nginx, source, sourcePartition, target, targetPartition } = setting
  await setting.needImage()
  for (const file of ['partclone.zst', 'image.zst'] as const) await needPeerFile(setting, file)
  if (!options.isQuick) await needPeerFile(setting, 'image.gz')
  const checked = new Set<string>()

  /** Whoever is fast must also be right. */
  async function check(key: string, isWhole: boolean): Promise<void> {
    if (checked.has(key)) return
    checked.add(key)
    if (isWhole) await exec('cmp', [source, target], { timeoutSeconds: COMPARE_SECONDS })
    else await compareUsed(sourcePartition, targetPartition)
  }

  const contender = (
    key: string,
    name: string,
    pipeline: Pipeline,
    { isWhole }: { isWhole: boolean },
  ): Contender => ({
    key: `deploy/${key}`,
    name,
    unit: 'seconds',
    async measure() {
      await setting.blankTarget()
      const { seconds } = await timePipeline(pipeline)
      await check(key, isWhole)
      return seconds
    },
  })
  const deploy = `deploy --yes --disk ${target} --image ${IMAGE}`
  const fetch = (file: string) => `curl -sf ${nginx.url}/${file}`
  const dd = `dd of=${target} bs=1M iflag=fullblock status=none`
  const restore = `partclone.ext4 -r -s - -o ${targetPartition} -L ${setting.folder}/partclone.log`
  const used = { isWhole: false }
  const whole = { isWhole: true }
  const contenders = [
    contender(
      'stampede',
      'Stampede, every chunk hashed before its write',
      setting.agent(`${deploy} --no-verify`),
      used,
    ),
    contender(
      'stampede-read-back',
      'Stampede, and all of it read back from the device',
      setting.agent(deploy),
      used,
    ),
    contender(
      'partclone',
      'curl | zstd -dc | partclone, nothing checked',
      {
        command: `${fetch('partclone.zst')} | zstd -dcq | ${restore}; sync ${targetPartition}`,
      },
      used,
    ),
    contender(
      'zstd',
      'curl | zstd -dc | dd conv=sparse, nothing checked',
      { command: `${fetch('image.zst')} | zstd -dcq | ${dd} conv=sparse,fsync` },
      whole,
    ),
  ]
  if (!options.isQuick) {
    for (const program of ['pigz', 'gunzip'])
      contenders.push(
        contender(
          program,
          `curl | ${program} -dc | dd`,
          { command: `${fetch('image.gz')} | ${program} -dc | ${dd} conv=fsync` },
          whole,
        ),
      )
  }
  const times = await measureAll(contenders, options.rounds)
  return { measurements: times, tables: [{ title: 'deploy to a blank loop device', rows: times }] }
}

/** What a file system does not use need not be the same: its files and its own structures must. */
async function compareUsed(expected: string, actual: string): Promise<void> {
  await exec('e2fsck', ['-fn', actual], { timeoutSeconds: COMPARE_SECONDS })
  const digest = async (device: string) => {
    const command = `partclone.ext4 -c -s ${device} -o - -a0 -L /dev/null 2>/dev/null | sha256sum`
    return (await timePipeline({ command })).stdout
  }
  if ((await digest(expected)) !== (await digest(actual)))
    throw new Error(`${actual} has other used blocks than ${expected}`)
}
