import type { Command } from 'commander'
import type { DiskHints } from '#protocol/machine/disk-hints.ts'
import { isIP } from 'node:net'
import type {
  Machine,
  MachinePatch,
  NetworkSettings,
  RefusedMachines,
} from '#protocol/machine/machine.ts'
import type { ApiClient } from '../api-client.ts'
import { action, type Context } from '../context.ts'
import { confirmTyped } from '../confirm.ts'
import { ApiError, CliError, EXIT, UsageError } from '../errors.ts'
import { collect, examples } from '../help.ts'
import { findMac, selectMacs } from '../machine-names.ts'
import { describeMachine } from '../text/machine-text.ts'
import { plural, printable } from '../text/text.ts'

interface SetOptions extends DiskOptions, NetworkOptions {
  image?: string | false
  hostname?: string | false
  name?: string
  tag?: string[]
  untag?: string[]
}

export interface DiskOptions {
  disk?: boolean
  diskSerial?: string
  diskWwn?: string
  diskPath?: string
  diskModel?: string
}

export interface NetworkOptions {
  network?: string | false
  gateway?: string
  nameserver?: string[]
}

export function addMachineChanges(machines: Command, signal: AbortSignal): void {
  withNetworkOptions(
    withDiskOptions(
      machines
        .command('set <machine>')
        .description('Change what a machine is called, which image it should run, and where')
        .option('--image <name>', 'assign this image; nothing is written before a run')
        .option('--no-image', 'assign none')
        .option('--name <name>', 'what it is called here')
        .option('--hostname <name>', 'what the deployed system is called')
        .option('--no-hostname', 'the name is the hostname')
        .option('--tag <tag>', 'add a tag; may be given again', collect)
        .option('--untag <tag>', 'take a tag away; may be given again', collect)
        .option('--no-disk', 'without hints the only disk is taken'),
    ),
  )
    .option('--no-network', 'the deployed system gets its address by DHCP')
    .addHelpText(
      'after',
      examples(
        'stampede machines set rack3-node7 --image debian-13 --tag web',
        'stampede machines set 52:54:00:12:34:56 --name rack3-node7 --disk-serial S4EV1234',
        'stampede machines set rack3-node7 --network 192.0.2.17/24 --gateway 192.0.2.1 --nameserver 192.0.2.53',
      ),
    )
    .action(action<[string], SetOptions>(signal, set))
  machines
    .command('lock <machine...>')
    .description('Refuse every run that would write to these machines')
    .addHelpText('after', examples('stampede machines lock fileserver db1'))
    .action(action<[string[]]>(signal, (context, names) => setLocked(context, names, true)))
  machines
    .command('unlock <machine...>')
    .description('Allow runs again')
    .addHelpText('after', examples('stampede machines unlock db1'))
    .action(action<[string[]]>(signal, (context, names) => setLocked(context, names, false)))
  machines
    .command('rm <machine...>')
    .alias('delete')
    .description('Forget machines and their runs; their disks stay as they are')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('stampede machines rm rack3-node7'))
    .action(action<[string[]], { yes?: boolean }>(signal, remove))
}

export function withDiskOptions(command: Command): Command {
  return command
    .option('--disk-serial <serial>', 'the disk with this serial number')
    .option('--disk-wwn <wwn>', 'the disk with this WWN')
    .option('--disk-path <path>', 'the disk at this path, such as /dev/nvme0n1')
    .option('--disk-model <model>', 'the disk of this model')
}

export function withNetworkOptions(command: Command): Command {
  return command
    .option('--network <address>', 'a static address with its prefix, such as 192.0.2.17/24')
    .option('--gateway <address>', 'with --network')
    .option('--nameserver <address>', 'with --network; may be given again', collect)
}

export function diskHints(options: DiskOptions): DiskHints | undefined {
  const { diskSerial: serial, diskWwn: wwn, diskPath: path, diskModel: model } = options
  const hints = { serial, wwn, path, model }
  const given = Object.entries(hints).filter(([, value]) => value !== undefined)
  return given.length > 0 ? (Object.fromEntries(given) as DiskHints) : undefined
}

export function networkSettings(options: NetworkOptions): NetworkSettings | undefined {
  const { network, gateway, nameserver } = options
  if (typeof network !== 'string') {
    if (gateway !== undefined || nameserver)
      throw new UsageError('--gateway and --nameserver need --network with an address')
    return undefined
  }
  const [address = '', prefix = ''] = network.split('/')
  if (isIP(address) !== 4 || !/^\d{1,2}$/.test(prefix) || Number(prefix) > 32)
    throw new UsageError(`--network is "${network}" but must be like 192.0.2.17/24`)
  return {
    address: network,
    ...(gateway !== undefined && { gateway }),
    ...(nameserver && { nameservers: nameserver }),
  }
}

/** How often tags are read and written anew when somebody else changes the machine meanwhile. */
const SET_TRIES = 3

async function set(context: Context, name: string, options: SetOptions): Promise<void> {
  const api = await context.api()
  const mac = await findMac(api, name)
  for (let tries = 1; ; tries++) {
    try {
      context.show(await patch(api, mac, options), describeMachine)
      return
    } catch (err) {
      const isStale = err instanceof ApiError && err.status === 412 && options.tag !== undefined
      if (!isStale || tries === SET_TRIES) throw err
    }
  }
}

async function patch(api: ApiClient, mac: string, options: SetOptions): Promise<Machine> {
  const path = `/api/machines/${mac}`
  const hints = diskHints(options)
  const network = networkSettings(options)
  const change: MachinePatch = {
    ...(options.name !== undefined && { name: options.name }),
    ...(options.image !== undefined && { image: options.image || null }),
    ...(options.hostname !== undefined && { hostname: options.hostname || null }),
    ...(options.disk === false && { disk: null }),
    ...(hints && { disk: hints }),
    ...(options.network === false && { network: null }),
    ...(network && { network }),
  }
  const headers: Record<string, string> = {}
  if (options.tag || options.untag) {
    // Tags are replaced as a whole: only if nobody changed them since they were read.
    const { body, etag } = await api.getWithTag<Machine>(path)
    const kept = body.tags.filter((tag) => !options.untag?.includes(tag))
    change.tags = [...new Set([...kept, ...(options.tag ?? [])])]
    if (etag !== undefined) headers['if-match'] = etag
  }
  if (Object.keys(change).length === 0)
    throw new UsageError('Nothing to change: give at least one option; --help lists them')
  return await api.call<Machine>('PATCH', path, { json: change, headers })
}

async function setLocked(context: Context, names: string[], locked: boolean): Promise<void> {
  const api = await context.api()
  const macs = await selectMacs(api, names, {})
  const answer = await api.call<{ items: Machine[]; refused: RefusedMachines }>(
    'PATCH',
    '/api/machines',
    { json: { macs, set: { locked } } },
  )
  context.show(answer, ({ items }) =>
    items.map((each) => `${printable(each.name)} is ${locked ? 'locked' : 'unlocked'}`).join('\n'),
  )
  failForRefused(context, answer.refused)
}

async function remove(context: Context, names: string[], { yes }: { yes?: boolean }) {
  const api = await context.api()
  const macs = await selectMacs(api, names, {})
  const question = `${plural(macs.length, 'machine')} and all runs of ${macs.length === 1 ? 'it' : 'them'} will be forgotten: ${macs.join(', ')}`
  if (!yes) await confirmTyped(context, question, String(macs.length))
  const answer = await api.call<{ deleted: string[]; refused: RefusedMachines }>(
    'POST',
    '/api/machines/delete',
    { json: { macs } },
  )
  context.show(answer, ({ deleted }) => deleted.map((mac) => `${mac} is forgotten`).join('\n'))
  failForRefused(context, answer.refused)
}

export function failForRefused(context: Context, refused: RefusedMachines): void {
  if (refused.length === 0) return
  for (const { mac, error } of refused) context.say(`${mac}: ${printable(error.message)}`)
  throw new CliError(
    EXIT.refused,
    `${plural(refused.length, 'machine was', 'machines were')} refused`,
  )
}
