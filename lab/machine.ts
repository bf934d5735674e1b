import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import { acceleration } from './acceleration.ts'
import { createConsole } from './console.ts'
import type { Console } from './console.ts'
import { diskArguments } from './disk.ts'
import type { Disk } from './disk.ts'
import type { LabNetwork } from './network.ts'
import { qmp } from './qmp.ts'

const OVMF_CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd'
const OVMF_VARS = '/usr/share/OVMF/OVMF_VARS_4M.fd'
const KILL_TIMEOUT_MS = 10_000

export type MachineOptions = {
  name: string
  /** Where its console, sockets and UEFI variables are; made if missing. */
  folder: string
  firmware: 'bios' | 'uefi'
  disks: Disk[]
  /** Its card is first in the boot order. Without it the machine boots from its disks alone. */
  card?: {
    network: LabNetwork
    mac: string
    model?: 'virtio-net-pci' | 'e1000' | 'e1000e'
    /** Option ROM: the card's own iPXE if not told, none for `''`, so that UEFI uses its own PXE. */
    romFile?: string
  }
  memoryMib?: number
  cpus?: number
  /** SMBIOS system UUID and serial number. */
  uuid?: string
  serial?: string
  /** Boots this kernel instead of what firmware would find. */
  kernel?: { file: string; initrd: string; arguments: string }
}

export type Machine = AsyncDisposable & {
  name: string
  pid: number
  console: Console
  /** Fulfilled with QEMU's exit code, when the machine is powered off or killed. */
  ended: Promise<number | null>
  /** Presses the reset button. */
  reset: () => Promise<void>
  /** Presses the power button: the system shuts down by itself, if it listens. */
  powerButton: () => Promise<void>
  /** Pulls the plug. */
  kill: () => Promise<void>
  /** Writes what the screen shows as a PNG. */
  screenshot: (file: string) => Promise<void>
}

/** Starts a virtual machine. Its files stay in `folder` when it is disposed. */
export async function openMachine(options: MachineOptions): Promise<Machine> {
  const { name, folder, card } = options
  await mkdir(folder, { recursive: true })
  const file = (suffix: string) => path.join(folder, suffix)
  const consoleFile = file('console.log')
  const qmpSocket = file('qmp.sock')

  const args = [
    // No graphics: SeaBIOS and iPXE then print on the serial line (fw_cfg etc/sercon-port).
    ['-name', name, '-machine', 'q35,graphics=off', '-nodefaults', '-display', 'none'],
    accelerationArguments(await acceleration()),
    ['-vga', 'std', '-device', 'virtio-rng-pci'],
    ['-m', String(options.memoryMib ?? 1024), '-smp', String(options.cpus ?? 2)],
    ['-chardev', 'stdio,id=c0,signal=off'],
    ['-serial', 'chardev:c0', '-qmp', `unix:${qmpSocket},server=on,wait=off`],
    options.uuid ? ['-uuid', options.uuid] : [],
    options.serial ? ['-smbios', `type=1,serial=${options.serial}`] : [],
    options.firmware === 'uefi' ? await uefiArguments(file('vars.fd')) : [],
    card ? await cardArguments(card) : ['-nic', 'none'],
    // QEMU gives index 0 to a kernel that it is told to boot.
    diskArguments(options.disks, card || options.kernel ? 1 : 0),
    kernelArguments(options.kernel),
  ].flat()

  // A file takes whatever comes: with a socket or pipe that is full for a moment, QEMU's serial port
  // repeats characters.
  await using output = await open(consoleFile, 'w')
  await using log = await open(file('qemu.log'), 'w')
  const start = card ? card.network.spawn : spawn
  const qemu: ChildProcess = start('qemu-system-x86_64', args, {
    stdio: ['pipe', output.fd, log.fd],
  })
  await once(qemu, 'spawn')
  const ended = once(qemu, 'exit').then(([code]) => code as number | null)
  // Typing to a machine that is ending is no error; waiting for its answer tells.
  qemu.stdin!.on('error', () => undefined)
  const hasEnded = () => qemu.exitCode !== null || qemu.signalCode !== null
  const serial = createConsole({ name, file: consoleFile, input: qemu.stdin!, hasEnded })

  async function kill(): Promise<void> {
    if (hasEnded()) return
    qemu.kill('SIGKILL')
    await Promise.race([ended, timeout(`QEMU of machine "${name}" cannot be killed`)])
  }

  return {
    name,
    pid: qemu.pid!,
    console: serial,
    ended,
    reset: async () => void (await qmp(qmpSocket, 'system_reset')),
    powerButton: async () => void (await qmp(qmpSocket, 'system_powerdown')),
    screenshot: async (target) =>
      void (await qmp(qmpSocket, 'screendump', { filename: target, format: 'png' })),
    kill,
    async [Symbol.asyncDispose]() {
      await kill()
    },
  }
}

function accelerationArguments(accel: 'tcg' | 'kvm'): string[] {
  if (accel === 'kvm') return ['-accel', 'kvm', '-cpu', 'qemu64']
  // The oldest processor that our programs run on. What newer ones offer is slower in software than
  // what they do without it: OpenSSL hashes with AVX2 at a quarter of its speed.
  return ['-accel', 'tcg,thread=multi', '-cpu', 'qemu64']
}

/** Code and variables apart, the variables a copy of this machine's own that survives a restart. */
async function uefiArguments(vars: string): Promise<string[]> {
  await copyFile(OVMF_VARS, vars, 1 /* COPYFILE_EXCL */).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  return [
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${OVMF_CODE}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${vars}`],
    // Else PXE over IPv6 is tried for a minute after each boot from the network.
    ['-fw_cfg', 'name=opt/org.tianocore/IPv6PXESupport,string=n'],
  ].flat()
}

async function cardArguments(card: NonNullable<MachineOptions['card']>): Promise<string[]> {
  const tap = await card.network.openTap()
  const rom = card.romFile === undefined ? '' : `,romfile=${card.romFile}`
  const device = `${card.model ?? 'virtio-net-pci'},netdev=n0,mac=${card.mac},bootindex=0${rom}`
  return ['-netdev', `tap,id=n0,ifname=${tap},script=no,downscript=no`, '-device', device]
}

function kernelArguments(kernel: MachineOptions['kernel']): string[] {
  if (!kernel) return []
  return ['-kernel', kernel.file, '-initrd', kernel.initrd, '-append', kernel.arguments]
}

function timeout(message: string): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(message)), KILL_TIMEOUT_MS).unref()
  })
}
