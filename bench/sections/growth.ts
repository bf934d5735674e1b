import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { exec } from '#agent/exec.ts'
import { openServerProcess } from '#test/support/server-process.ts'
import { bundleAgent } from '../../agent/build.ts'
import { DEBIAN_STEPS, takeStep } from '../debian-steps.ts'
import { createBlank, partitionDisk } from '../disk.ts'
import { openLoop } from '../loop.ts'
import { formatValue, type Measurement } from '../measurement.ts'
import { timePipeline } from '../rounds.ts'
import { SERVER_ENV, storedBytes } from '../setting.ts'
import type { SectionResult } from './section.ts'

const DISK_BYTES = 2 * 1024 ** 3
const PART = { startBytes: 1024 ** 2, sizeBytes: DISK_BYTES - 2 * 1024 ** 2 }

/** A way to keep one version of a disk beside those before. */
interface Keeper {
  key: string
  name: string
  keep: (version: number) => Promise<void>
  /** Of all that it keeps. */
  bytes: () => Promise<number>
}

/** What is stored when an image is kept in five versions. */
export async function benchGrowth(): Promise<SectionResult> {
  await using opened = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'stampede-growth-'))
  opened.defer(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'disk.img')
  await createBlank(file, DISK_BYTES)
  await partitionDisk(file, PART)
  const disk = opened.use(await openLoop(file)).path
  const partition = opened.use(await openLoop(file, { part: PART })).path
  await exec('mkfs.ext4', ['-q', partition])
  const keepers = [
    await ourKeeper(opened, folder, disk),
    ...(await otherKeepers(folder, disk, partition)),
  ]
  const added = new Map(keepers.map(({ key }) => [key, [] as number[]]))
  for (const [version, { title }] of DEBIAN_STEPS.entries()) {
    console.error(`  version ${version + 1}: ${title}`)
    await takeStep(partition, join(folder, 'system'), version)
    await exec('blockdev', ['--flushbufs', disk])
    for (const { key, name, keep, bytes } of keepers) {
      const before = version === 0 ? 0 : await bytes()
      await keep(version + 1)
      const more = (await bytes()) - before
      added.get(key)!.push(more)
      console.error(`    ${name}: ${formatValue(more, 'bytes')} more`)
    }
  }
  return report(keepers, added)
}

function report(keepers: readonly Keeper[], added: ReadonlyMap<string, number[]>): SectionResult {
  const row = (suffix: string, of: (versions: readonly number[]) => number) =>
    keepers.map(({ key, name }): Measurement => {
      const rounds = [of(added.get(key)!)]
      return { key: `growth/${key}${suffix}`, name, unit: 'bytes', rounds }
    })
  const tables = DEBIAN_STEPS.map(({ title }, version) => ({
    title: version === 0 ? `stored: ${title}` : `stored more: ${title}`,
    rows: row(`-${version + 1}`, (versions) => versions[version]!),
  }))
  const all = {
    title: `stored: all ${DEBIAN_STEPS.length} versions`,
    rows: row('', (versions) => versions.reduce((sum, bytes) => sum + bytes, 0)),
  }
  const shown = [...tables, all]
  return { measurements: shown.flatMap(({ rows }) => rows), tables: shown }
}

async function ourKeeper(
  opened: AsyncDisposableStack,
  folder: string,
  disk: string,
): Promise<Keeper> {
  await bundleAgent(undefined, join(folder, 'agent'))
  const dataFolder = join(folder, 'data')
  const server = opened.use(await openServerProcess({ dataFolder, env: SERVER_ENV }))
  const agent = `${process.execPath} ${join(folder, 'agent/agent.mjs')}`
  return {
    key: 'stampede',
    name: 'Stampede',
    keep: async (version) => {
      const command = `${agent} capture --disk ${disk} --server ${server.url} --image version-${version}`
      await timePipeline({ command, env: { STAMPEDE_TOKEN: server.token } })
    },
    bytes: () => storedBytes(server),
  }
}

async function otherKeepers(folder: string, disk: string, partition: string): Promise<Keeper[]> {
  const at = (name: string) => join(folder, name)
  const env = { RESTIC_PASSWORD: 'bench', BORG_BASE_DIR: at('borg-home') }
  const call = async (command: string) => void (await timePipeline({ command, env }))
  await mkdir(at('casync'))
  await call(`restic init -q --repository-version 2 --repo ${at('restic')}`)
  await call(`borg init -e none ${at('borg')}`)
  await mkdir(at('partclone'))
  return [
    {
      key: 'casync',
      name: 'casync',
      keep: (version) =>
        call(`casync make --store=${at('casync')}/store ${at('casync')}/${version}.caibx ${disk}`),
      bytes: () => bytesUnder(at('casync')),
    },
    {
      key: 'restic',
      name: 'restic',
      keep: () =>
        call(
          `restic backup -q --no-cache --repo ${at('restic')} --stdin --stdin-filename disk <${disk}`,
        ),
      bytes: () => bytesUnder(at('restic')),
    },
    {
      key: 'borg',
      name: 'borg, zstd',
      keep: (version) =>
        call(`borg create --compression zstd,3 ${at('borg')}::version-${version} - <${disk}`),
      bytes: () => bytesUnder(at('borg')),
    },
    {
      key: 'partclone',
      name: 'partclone | zstd -3, a file for each',
      keep: (version) =>
        call(
          `partclone.ext4 -c -s ${partition} -o - -L ${at('partclone.log')} ` +
            `| zstd -q -3 -T0 >${at('partclone')}/${version}.zst`,
        ),
      bytes: () => bytesUnder(at('partclone')),
    },
  ]
}

async function bytesUnder(folder: string): Promise<number> {
  const { stdout } = await exec('find', [folder, '-type', 'f', '-printf', '%s\n'], {
    timeoutSeconds: 120,
  })
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .reduce((sum, size) => sum + Number(size), 0)
}
