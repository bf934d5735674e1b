import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { release } from 'node:os'
import path from 'node:path'
import { cacheFolder } from './cache.ts'

export type Acceleration = 'tcg' | 'kvm'

/** A device node proves nothing: there are hosts where it exists and the first VM hangs. */
const PROBE_DEADLINE_MS = 5_000

let answer: Promise<Acceleration> | undefined

/**
 * How machines run on this host: with KVM if a virtual machine was seen to run with it, else in
 * software. The answer is kept in the cache folder; STAMPEDE_LAB_ACCEL overrides it.
 */
export function acceleration(): Promise<Acceleration> {
  return (answer ??= findAcceleration())
}

async function findAcceleration(): Promise<Acceleration> {
  const told = process.env['STAMPEDE_LAB_ACCEL']
  if (told === 'tcg' || told === 'kvm') return told
  if (told) throw new Error(`STAMPEDE_LAB_ACCEL is "${told}"; set it to "tcg" or "kvm"`)
  if (!existsSync('/dev/kvm')) return 'tcg'

  // Another kernel may answer differently.
  const file = path.join(await cacheFolder(), `acceleration-${release()}`)
  const known = await readFile(file, 'utf8').catch(() => '')
  if (known === 'tcg' || known === 'kvm') return known
  const found = (await runsWithKvm()) ? 'kvm' : 'tcg'
  await writeFile(file, found)
  return found
}

/**
 * Starts a machine without a disk and waits for the iPXE of its network card to run. That the BIOS
 * prints is not enough: under some nested hypervisors real mode works and the first program that
 * goes to protected mode and back, as iPXE and GRUB do, hangs.
 */
function runsWithKvm(): Promise<boolean> {
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ['-accel', 'kvm', '-cpu', 'host', '-machine', 'q35,graphics=off', '-m', '128'],
      ['-nodefaults', '-display', 'none', '-serial', 'stdio'],
      ['-netdev', 'hubport,hubid=0,id=n0'],
      ['-device', 'virtio-net-pci,netdev=n0,bootindex=0'],
    ].flat(),
    { stdio: ['ignore', 'pipe', 'ignore'] },
  )
  return new Promise((resolve) => {
    let output = ''
    const settle = (works: boolean) => {
      clearTimeout(timer)
      qemu.kill('SIGKILL')
      // One that hangs in the kernel cannot be ended, and must not keep us.
      qemu.stdout.destroy()
      qemu.unref()
      resolve(works)
    }
    const timer = setTimeout(() => settle(false), PROBE_DEADLINE_MS)
    qemu.once('error', () => settle(false))
    qemu.once('exit', () => settle(false))
    qemu.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString('latin1')
      if (output.includes('iPXE initialising devices')) settle(true)
    })
  })
}
