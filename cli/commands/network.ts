import type { Command } from 'commander'
import type { Lease } from '#protocol/lease.ts'
import { MAC_PATTERN } from '#protocol/mac.ts'
import { action, type Context } from '../context.ts'
import { UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { findMac } from '../machine-names.ts'
import { ago, paintState } from '../text/text.ts'

/** `GET /api/reservations`. */
interface Reservation {
  mac: string
  address: string
  hostname?: string
}

export function addNetwork(program: Command, signal: AbortSignal): void {
  program
    .command('leases')
    .description('List DHCP leases by address')
    .option('-m, --machine <machine>', 'of this machine')
    .addHelpText('after', examples('stampede leases', 'stampede leases -m rack3-node7'))
    .action(action<[], { machine?: string }>(signal, listLeases))
  const reservations = program
    .command('reservations')
    .alias('reservation')
    .description('Addresses that only one network card gets')
  reservations
    .command('ls')
    .alias('list')
    .description('List reservations')
    .addHelpText('after', examples('stampede reservations ls'))
    .action(action<[]>(signal, listReservations))
  reservations
    .command('set <machine> <address>')
    .description('Reserve an address for a machine, or for a MAC that was never seen')
    .option('--hostname <name>', 'that DHCP tells it')
    .addHelpText('after', examples('stampede reservations set 52:54:00:12:34:56 192.0.2.20'))
    .action(action<[string, string], { hostname?: string }>(signal, setReservation))
  reservations
    .command('rm <machine...>')
    .alias('delete')
    .description('Give up reservations')
    .addHelpText('after', examples('stampede reservations rm 52:54:00:12:34:56'))
    .action(action<[string[]]>(signal, removeReservations))
}

async function listLeases(context: Context, { machine }: { machine?: string }): Promise<void> {
  const api = await context.api()
  const mac = machine === undefined ? undefined : await findMac(api, machine)
  context.showList(
    await api.list<Lease>('/api/leases', { mac }),
    [
      { head: 'Address', cell: ({ address }) => address, key: true },
      { head: 'MAC', cell: ({ mac: of }) => of, key: true },
      { head: 'State', cell: ({ state }) => state, paint: paintState },
      { head: 'Hostname', cell: ({ hostname }) => hostname },
      { head: 'Expires', cell: ({ expiresAt }) => ago(expiresAt) },
    ],
    'No leases',
  )
}

async function listReservations(context: Context): Promise<void> {
  const api = await context.api()
  context.showList(
    await api.call<{ items: Reservation[] }>('GET', '/api/reservations'),
    [
      { head: 'MAC', cell: ({ mac }) => mac, key: true },
      { head: 'Address', cell: ({ address }) => address, key: true },
      { head: 'Hostname', cell: ({ hostname }) => hostname },
    ],
    'No reservations',
  )
}

async function setReservation(
  context: Context,
  machine: string,
  address: string,
  { hostname }: { hostname?: string },
): Promise<void> {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(address))
    throw new UsageError(`"${address}" is no IPv4 address such as 192.0.2.20`)
  const api = await context.api()
  const mac = await findMac(api, machine)
  const json = { address, ...(hostname !== undefined && { hostname }) }
  const saved = await api.call<Reservation>('PUT', `/api/reservations/${mac}`, { json })
  context.show(saved, () => `${saved.address} is reserved for ${saved.mac}`)
}

async function removeReservations(context: Context, machines: string[]): Promise<void> {
  const api = await context.api()
  const deleted: string[] = []
  for (const machine of machines) {
    const mac = new RegExp(MAC_PATTERN).test(machine) ? machine : await findMac(api, machine)
    await api.call('DELETE', `/api/reservations/${mac}`)
    deleted.push(mac)
  }
  context.show({ deleted }, () => deleted.map((mac) => `${mac} has no reservation now`).join('\n'))
}
