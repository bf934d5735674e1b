import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import type { Run, RunRequest } from '#protocol/run.ts'
import { createBlankDisk, createOverlayDisk } from './disk.ts'
import type { Disk, DiskBus } from './disk.ts'
import { goldenImage } from './golden-images.ts'
import { GOLDEN_PASSWORD } from './golden-recipes.ts'
import type { GoldenName } from './golden-recipes.ts'
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

const GIB = 1024 ** 3

export type Lab = AsyncDisposable & { network: LabNetwork; server: LabServer; folder: string }

/** A network with our server on it, its files in `folder`. */
export async function openLab(
  folder: string,
  options: Pick<LabServerOptions, 'dhcp' | 'env'> = {},
): Promise<Lab> {
  await using opened = new AsyncDisposableStack()
  const network = opened.use(await openLabNetwork())
  const serverFolder = path.join(folder, 'server')
  const server = opened.use(await openLabServer({ network, folder: serverFolder, ...options }))
  const resources = opened.move()
  return { network, server, folder, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}

export type LabMachineOptions = {
  name: string
  mac: string
  firmware: 'bios' | 'uefi'
  bus: DiskBus
  /** Of a blank disk, unless it starts as a golden image. */
  sizeBytes?: number
  golden?: GoldenName
  memoryMib?: number
}

/** Makes the machine's disk. */
async function createDisk(folder: string, options: LabMachineOptions): Promise<Disk> {
  const common = { bus: options.bus, serial: `LAB-${options.name}`.toUpperCase() }
  if (options.golden) {
    const base = await goldenImage(options.golden)
    return createOverlayDisk({ ...common, base, file: path.join(folder, 'disk.qcow2') })
  }
  const sizeBytes = options.sizeBytes ?? 20 * GIB
  return createBlankDisk({ ...common, sizeBytes, file: path.join(folder, 'disk.raw') })
}

/** Powers on a machine that boots from the network first, as its owner's server would. */
export async function openLabMachine(
  lab: Pick<Lab, 'network' | 'folder'>,
  options: LabMachineOptions,
): Promise<Machine> {
  const { name, mac, firmware, memoryMib } = options
  const folder = path.join(lab.folder, name)
  await mkdir(folder, { recursive: true })
  const disk = await createDisk(folder, options)
  return openMachine({
    name,
    folder,
    firmware,
    disks: [disk],
    // Without an option ROM the firmware's own PXE fetches iPXE by TFTP, as on real UEFI machines.
    card: { network: lab.network, mac, ...(firmware === 'uefi' ? { romFile: '' } : {}) },
    serial: `SN-${name}`.toUpperCase(),
    ...(memoryMib ? { memoryMib } : {}),
  })
}

/**
 * Waits until a run that its machine carries out has succeeded. Else it throws with the run's
 * error, the end of the machine's console and the end of the server's log.
 */
export async function runToSuccess(
  lab: Lab,
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
