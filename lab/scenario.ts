import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { Run, RunRequest } from '#protocol/run/run.ts'
import { createBlankDisk, createOverlayDisk } from './disk.ts'
import type { Disk, DiskBus } from './disk.ts'
import { goldenImage } from './golden-images.ts'
import { GOLDEN_PASSWORD } from './golden-recipes.ts'
import type { GoldenName } from './golden-recipes.ts'
import { openIpv6Router } from './ipv6-router.ts'
import { openMachine } from './machine.ts'
import type { Machine } from './machine.ts'
import { openLabNetwork } from './network.ts'
import type { LabNetwork } from './network.ts'
import { openLabServer } from './server.ts'
import type { LabServer, LabServerOptions } from './server.ts'

/**
 * Deadlines under emulation on a small, busy machine: several times what was seen, since one that
 * is missed costs a whole test, and one that is generous costs only when something is wrong.
 */
export const RUN_DEADLINE_MS = 12 * 60_000
export const LOGIN_DEADLINE_MS = 6 * 60_000

export type Lab = AsyncDisposable & { network: LabNetwork; server: LabServer; folder: string }

/** A network with our server on it, its files in `folder`. */
export async function openLab(
  folder: string,
  options: Pick<LabServerOptions, 'dhcp' | 'env'> = {},
): Promise<Lab> {
  await using opened = new AsyncDisposableStack()
  const network = opened.use(await openLabNetwork())
  const serverFolder = path.join(folder, 'server')
  opened.use(await openIpv6Router(network, folder))
  const server = opened.use(await openLabServer({ network, folder: serverFolder, ...options }))
  const resources = opened.move()
  return { network, server, folder, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

export type LabMachineOptions = {
  name: string
  mac: string
  firmware: 'bios' | 'uefi'
  disks: Disk[]
  memoryMib?: number
}

/** Makes a disk for a machine: blank, or a golden image that it may change. */
export async function createLabDisk(
  lab: Pick<Lab, 'folder'>,
  options: {
    machine: string
    bus: DiskBus
    name?: string
    content: GoldenName | { blankBytes: number }
  },
): Promise<Disk> {
  const { machine, bus, name = 'disk', content } = options
  const folder = path.join(lab.folder, machine)
  await mkdir(folder, { recursive: true })
  const common = { bus, serial: `LAB-${machine}-${name}`.toUpperCase() }
  if (typeof content === 'object')
    return createBlankDisk({
      ...common,
      sizeBytes: content.blankBytes,
      file: path.join(folder, `${name}.raw`),
    })
  const base = await goldenImage(content)
  return createOverlayDisk({ ...common, base, file: path.join(folder, `${name}.qcow2`) })
}

/** Powers on a machine that boots from the network first, as its owner's server would. */
export async function openLabMachine(
  lab: Pick<Lab, 'network' | 'folder'>,
  options: LabMachineOptions,
): Promise<Machine> {
  const { mac, ...machine } = options
  return openMachine({
    ...machine,
    folder: path.join(lab.folder, options.name),
    // Without an option ROM the firmware's own PXE fetches iPXE by TFTP, as on real UEFI machines.
    card: {
      network: lab.network,
      mac,
      ...(options.firmware === 'uefi' ? { romFile: '' } : {}),
    },
    serial: `SN-${options.name}`.toUpperCase(),
  })
}

/**
 * Waits until a run that its machine carries out has succeeded. Else it throws with the run's
 * error, the end of the machine's console and the end of the server's log.
 */
export async function runToSuccess(
  lab: Pick<Lab, 'server'>,
  machine: Machine,
  id: string,
  onProgress?: (run: Run) => void,
): Promise<Run> {
  const { api, logTail } = lab.server
  try {
    const run = await api.waitForRun(id, {
      deadlineMs: RUN_DEADLINE_MS,
      ...(onProgress ? { onProgress } : {}),
    })
    if (run.state === 'succeeded') return run
    throw new Error(`Run ${id} (${run.workflow}) ended ${run.state}: ${run.error}`)
  } catch (error) {
    throw new Error(
      `${(error as Error).message}\n--- console of ${machine.name}:\n${await machine.console.tail()}` +
        `\n--- log of the server:\n${await logTail()}`,
      { cause: error },
    )
  }
}

/** Names a machine and gives it a run, as an operator does before it is powered on. */
export async function orderRun(lab: Lab, name: string, request: RunRequest): Promise<Run> {
  await lab.server.api.put(`/api/machines/${request.mac}`, { name })
  return lab.server.api.startRun(request)
}

/** What a freshly installed system says about itself on its serial console. */
export type SystemFacts = {
  hostname: string
  machineId: string
  hostKey: string
  address: string
  rootBytes: number
  df: string
}

/** Logs in on the serial console and asks, once the network is up. */
export async function askSystem(machine: Machine): Promise<SystemFacts> {
  const { console } = machine
  await console.login(GOLDEN_PASSWORD, { deadlineMs: LOGIN_DEADLINE_MS })
  const ask = async (command: string, deadlineMs = 60_000) =>
    (await console.shell(command, { deadlineMs })).trim()
  const waitForAddress =
    "for i in $(seq 120); do a=$(ip -4 -o address show scope global | awk '{print $4}'); " +
    'test -n "$a" && break; sleep 1; done; echo $a'
  return {
    address: await ask(waitForAddress, 180_000),
    hostname: await ask('hostname'),
    machineId: await ask('cat /etc/machine-id'),
    hostKey: await ask('cat /etc/ssh/ssh_host_ed25519_key.pub | cut -d" " -f2'),
    rootBytes: Number(await ask('df -B1 --output=size / | tail -1')),
    df: await ask('df -h /'),
  }
}
