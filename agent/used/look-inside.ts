import { open } from 'node:fs/promises'
import { LINUX_FILE_SYSTEMS } from '#protocol/disk/growth.ts'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { Exec } from '../exec.ts'
import { findRoots } from '../system/find-root.ts'
import { findWindows } from '../system/find-windows.ts'
import { openMount } from '../system/mount.ts'
import { chooseRoot, type Candidate, type Root } from '../system/root-choice.ts'
import { createSystemFiles, type SystemFiles } from '../system/system-files.ts'
import { elfArchitecture, prettyName } from './system-facts.ts'
import type { FoundContent, SurveyOptions } from './survey.ts'
import { openView } from './view.ts'

type SystemFacts = Pick<
  ImageInfo,
  'operatingSystem' | 'architecture' | 'rootPartition' | 'rootVolume'
>

interface LookOptions extends SurveyOptions {
  log: (text: string) => void
}

/** Where most of a disk's programs are of the kind that its kernel runs. */
const PROGRAMS = ['/usr/bin/env', '/bin/sh', '/sbin/init']
const ELF_HEADER_BYTES = 20

/**
 * Which system is on the disk, by a look at its files. Mounted are read-only views of its own
 * partitions, without a replay of journals; what can't be looked into is passed over.
 */
export async function lookInside(
  options: LookOptions,
  contents: readonly FoundContent[],
): Promise<SystemFacts> {
  const { exec, device, disk, log, signal } = options
  await using opened = new AsyncDisposableStack()
  const candidates: Candidate[] = []
  try {
    for (const { region, content } of contents) {
      if (!LINUX_FILE_SYSTEMS.has(content.type) && content.type !== 'ntfs') continue
      const view = await openView(exec, { device, sectorBytes: disk.sectorBytes, region })
      const { path } = opened.use(view)
      const { partition, volume } = region
      const place = { ...(partition !== undefined && { partition }), ...(volume && { volume }) }
      candidates.push({ path, fileSystem: content.type, ...place })
    }
    const choice = chooseRoot(await findRoots(exec, candidates, log, 'look'))
    if (choice.kind === 'found') return await describeRoot(exec, choice.root)
    return describeWindows(await findWindows(exec, candidates))
  } catch (err) {
    // A capture is not worse for that.
    signal.throwIfAborted()
    log(`Can't tell which system is on the disk: ${String(err)}`)
    return {}
  }
}

/** Of several, none is the one that is meant. */
function describeWindows(found: readonly Candidate[]): SystemFacts {
  const [first, ...others] = found
  if (!first) return {}
  const isOnly = others.length === 0 && first.partition !== undefined && !first.volume
  return {
    operatingSystem: 'Windows',
    ...(isOnly && { rootPartition: first.partition }),
  }
}

async function describeRoot(exec: Exec, root: Root): Promise<SystemFacts> {
  const { path: device, fileSystem, subvolume, volume, partition } = root
  const options = subvolume === undefined ? [] : [subvolume]
  await using mount = await openMount(exec, { device, fileSystem, mode: 'look', options })
  const files = createSystemFiles(mount.path)
  const release = (await files.read('/etc/os-release')) ?? (await files.read('/usr/lib/os-release'))
  const operatingSystem = prettyName(release ?? '')
  const architecture = await findArchitecture(files)
  return {
    ...(operatingSystem !== undefined && { operatingSystem }),
    ...(architecture !== undefined && { architecture }),
    ...(volume && { rootVolume: `/dev/${volume.group}/${volume.name}` }),
    ...(!volume && partition !== undefined && { rootPartition: partition }),
  }
}

async function findArchitecture(files: SystemFiles): Promise<string | undefined> {
  for (const path of PROGRAMS) {
    if ((await files.kind(path)) !== 'file') continue
    await using file = await open(await files.resolve(path), 'r')
    const header = Buffer.alloc(ELF_HEADER_BYTES)
    await file.read(header, 0, header.length, 0)
    const architecture = elfArchitecture(header)
    if (architecture !== undefined) return architecture
  }
  return undefined
}
