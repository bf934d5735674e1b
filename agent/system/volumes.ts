import { basename } from 'node:path'
import { exec as plainExec, type Exec } from '../exec.ts'
import { foundations, isOfGroup, listMappedDevices } from './device-mapper.ts'

/** Logical volumes whose groups lie on the target disk alone, activated for as long as this is open. */
export interface Volumes extends AsyncDisposable {
  readonly groups: readonly VolumeGroup[]
  readonly volumes: readonly Volume[]
  /** Runs an LVM command which sees the target's partitions and nothing else. */
  readonly lvm: (command: string, args: readonly string[]) => Promise<string>
}

export type VolumeGroup = { name: string; uuid: string; freeExtents: number; pvPaths: string[] }

export type Volume = {
  group: string
  name: string
  /** `/dev/dm-0`: made by the kernel, so it is right even where no udev keeps other names. */
  path: string
  /** `linear`, `thin`, `raid1`, … of the first segment. */
  segmentType: string
}

/**
 * Nothing of the machine's own configuration may widen what LVM sees (devices file, filters), and
 * it keeps no backups of metadata in /etc. No udev is waited for: the initramfs has none.
 */
const LVM_CONFIG = [
  'devices{use_devicesfile=0 filter=["a|.*|"] global_filter=["a|.*|"] hints="none" scan_lvs=0}',
  'backup{backup=0 archive=0}',
  'activation{udev_sync=0 udev_rules=0 monitoring=0}',
  'global{use_lvmpolld=0 use_lvmlockd=0}',
].join(' ')
const LVM_TIMEOUT_SECONDS = 120

/**
 * Activates the volume groups of these physical volumes; `--devices` hides every other disk, so a
 * clone with the same names and UUIDs elsewhere is neither read nor changed.
 */
export async function openVolumes(
  exec: Exec,
  pvPaths: readonly string[],
  warn: (text: string) => void,
): Promise<Volumes> {
  const lvm = bindLvm(exec, pvPaths)
  const groups = pvPaths.length > 0 ? await usableGroups(lvm, warn) : []
  await using opened = new AsyncDisposableStack()
  for (const group of groups) {
    await refuseForeignDevices(group)
    opened.defer(async () => {
      await bindLvm(plainExec, pvPaths)('vgchange', ['--activate', 'n', group.name])
    })
    await lvm('vgchange', ['--activate', 'y', group.name])
    await refuseForeignDevices(group)
  }
  const volumes = groups.length > 0 ? await listVolumes(lvm, groups) : []
  const resources = opened.move()
  return { groups, volumes, lvm, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

type Lvm = Volumes['lvm']

/** LVM commands that see these physical volumes and nothing else. */
function bindLvm(exec: Exec, pvPaths: readonly string[]): Lvm {
  return async (command, args) => {
    const scope = ['--devices', pvPaths.join(','), '--config', LVM_CONFIG]
    const timeoutSeconds = LVM_TIMEOUT_SECONDS
    return (await exec('lvm', [command, ...scope, ...args], { timeoutSeconds })).stdout
  }
}

type Row = Record<string, string>

const REPORT = ['--reportformat', 'json', '--units', 'b', '--nosuffix']

async function report(lvm: Lvm, command: 'vg' | 'pv' | 'lv', args: string[]): Promise<Row[]> {
  const text = await lvm(`${command}s`, [...REPORT, ...args])
  const parsed = JSON.parse(text) as { report: Record<string, Row[]>[] }
  return parsed.report.flatMap((part) => part[command] ?? [])
}

async function usableGroups(lvm: Lvm, warn: (text: string) => void): Promise<VolumeGroup[]> {
  const fields = 'vg_name,vg_uuid,vg_free_count,vg_missing_pv_count,vg_exported'
  const rows = await report(lvm, 'vg', ['-o', fields])
  const pvRows = await report(lvm, 'pv', ['-o', 'pv_name,vg_uuid'])
  return rows.flatMap((row) => {
    const name = row['vg_name']!
    const reason = whyUnusable(row, rows)
    if (reason) warn(`Volume group "${name}" is left alone: ${reason}`)
    if (reason) return []
    const pvs = pvRows.filter((pv) => pv['vg_uuid'] === row['vg_uuid'])
    const freeExtents = Number(row['vg_free_count'])
    return [{ name, uuid: row['vg_uuid']!, freeExtents, pvPaths: pvs.map((pv) => pv['pv_name']!) }]
  })
}

function whyUnusable(row: Row, all: readonly Row[]): string | undefined {
  const missing = Number(row['vg_missing_pv_count'])
  if (missing > 0) return `${missing} of its physical volumes are not on the target disk`
  if (row['vg_exported']) return 'it is exported'
  if (all.filter((other) => other['vg_name'] === row['vg_name']).length > 1)
    return 'the target disk holds two groups of this name'
  return undefined
}

/**
 * LVM tells volumes by UUID: with a clone of the group active, it would take the clone's devices
 * for ours, and we would write to the wrong disk.
 */
async function refuseForeignDevices(group: VolumeGroup): Promise<void> {
  const own = new Set(group.pvPaths.map((path) => basename(path)))
  const all = await listMappedDevices()
  for (const device of all.filter((candidate) => isOfGroup(candidate, group))) {
    const foreign = foundations(device, all).filter((name) => !own.has(name))
    if (foreign.length > 0)
      throw new Error(
        `Volume group "${group.name}" can't be activated: the running system uses a volume of the same name or UUID, "${device.name}" on ${foreign.join(' and ')}`,
      )
  }
}

async function listVolumes(lvm: Lvm, groups: readonly VolumeGroup[]): Promise<Volume[]> {
  const fields = 'vg_name,lv_name,segtype,lv_kernel_minor,lv_active'
  const rows = await report(lvm, 'lv', ['-o', fields, ...groups.map(({ name }) => name)])
  const active = rows.filter((row) => Number(row['lv_kernel_minor']) >= 0 && row['lv_active'])
  const volumes = active.map((row) => ({
    group: row['vg_name']!,
    name: row['lv_name']!,
    path: `/dev/dm-${row['lv_kernel_minor']}`,
    segmentType: row['segtype']!,
  }))
  // A volume with several segments has several rows.
  return volumes.filter(({ path }, at) => volumes.findIndex((v) => v.path === path) === at)
}
