import assert from 'node:assert/strict'
import { mkdtempDisposable, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Inventory } from '#protocol/machine/inventory.ts'
import { AGENT_ENTRY } from '../../agent/build.ts'
import { buildInitramfs } from '../../initramfs/build.ts'
import type { InitramfsManifest } from '../../initramfs/build.ts'
import { TOOLS } from '../../initramfs/recipe.ts'
import { openHelloServer, openInitramfsMachine } from '../support/initramfs-machine.ts'
import type { InitramfsMachineOptions } from '../support/initramfs-machine.ts'

const MAC = '52:54:00:12:34:56'
const FIXTURE_AGENT = resolve(import.meta.dirname, '../fixtures/initramfs-agent.ts')
/** Software emulation on a busy machine: some 15 s are usual. */
const DEADLINE_MS = 180_000
const FAIL_ON = /Kernel panic|ERROR: No/
const CARD = ['-device', `virtio-net-pci,netdev=net0,mac=${MAC}`]
const OPTIONS = { agentEntry: FIXTURE_AGENT, firmware: true, refresh: false }
const DISK_BYTES = 64 * 1024 * 1024
const KERNEL_ARGUMENTS = ['console=tty0', 'console=ttyS0', 'rootfstype=ramfs', 'quiet', 'panic=1']

/** What a capture asks of a file system, on a read-only view of one. */
const USED_BLOCKS = [
  'truncate -s 32M /tmp/disk && mkfs.ext4 -q /tmp/disk && test -c /dev/loop-control',
  // By its path: the shell of busybox prefers a losetup of its own.
  'view=$(/usr/sbin/losetup --find --show --read-only --offset 0 --sizelimit 33554432 /tmp/disk)',
  'echo $view $(partclone.extfs -D -q -f 0 -L /dev/null -s $view -o - 2>/dev/null | grep +)',
].join(' && ')

describe('initramfs', () => {
  const folders = new AsyncDisposableStack()
  let folder: string
  let manifest: InitramfsManifest

  before(async () => {
    folder = folders.use(await mkdtempDisposable(join(tmpdir(), 'stampede-initramfs-'))).path
    manifest = await buildInitramfs({ ...OPTIONS, outputFolder: folder })
  })
  after(() => folders.disposeAsync())

  function boot(args: string[], options: Partial<InitramfsMachineOptions> = {}) {
    const words = [...KERNEL_ARGUMENTS, `stampede.mac=${MAC}`, ...args]
    const usual = { folder, devices: CARD, memoryMib: 768, arguments: words }
    return openInitramfsMachine({ ...usual, ...options })
  }

  it('is at most 80 MB', () => {
    assert.ok(manifest.initrdBytes <= 80e6, `${manifest.initrdBytes} bytes`)
  })

  it('is not built again for the same inputs', async () => {
    assert.deepEqual(await buildInitramfs({ ...OPTIONS, outputFolder: folder }), manifest)
  })

  it('brings the agent to its hello through the card it booted from, in 512 MB', async () => {
    const real = join(folder, 'real')
    await buildInitramfs({ ...OPTIONS, agentEntry: AGENT_ENTRY, outputFolder: real })
    for (const name of ['usb.img', 'card.img']) {
      await writeFile(join(folder, name), '')
      await truncate(join(folder, name), DISK_BYTES)
    }
    await using server = await openHelloServer({ sessionToken: 'session', run: null })
    const otherCard = ['-netdev', 'user,id=other', '-device', 'virtio-net-pci,netdev=other']
    const ours = ['-device', `e1000,netdev=net0,mac=${MAC}`]
    const drive = (id: string, name: string) => [
      '-drive',
      `if=none,id=${id},format=raw,file=${join(folder, name)}`,
    ]
    const usb = ['-device', 'qemu-xhci', '-device', 'usb-storage,drive=u0,serial=USB-SERIAL']
    const memoryCard = ['-device', 'sdhci-pci', '-device', 'sd-card,drive=m0']
    const drives = [drive('u0', 'usb.img'), drive('m0', 'card.img')].flat()
    const olderCards = ['tulip', 'i82559er', 'ne2k_pci'].flatMap((model) => ['-device', model])
    const olderDrivers = ['tulip', 'e100', 'ne2k-pci']
    const emptyBattery = ['-rtc', 'base=2001-02-03T04:05:06']
    const devices = [otherCard, ours, olderCards, drives, usb, memoryCard, emptyBattery].flat()
    const words = [`stampede.url=${server.url}`, 'stampede.token=secret-token']
    await using machine = await boot(words, { folder: real, devices, memoryMib: 512 })
    await machine.console.waitFor(/Asking for an address on eth\d \(52:54:00:12:34:56\)/, {
      deadlineMs: DEADLINE_MS,
      failOn: FAIL_ON,
    })
    await machine.console.waitFor(/stampede: Rebooting/, {
      deadlineMs: DEADLINE_MS,
      failOn: /ERROR/,
    })
    await machine.ended
    const { path, body } = await server.hello
    assert.equal(path, '/agent/hello')
    const facts = { sizeBytes: DISK_BYTES, sectorBytes: 512 }
    const card = { path: '/dev/mmcblk0', ...facts, transport: 'mmc', removable: true }
    const usbDisk = { path: '/dev/sda', ...facts, transport: 'usb', serial: 'USB-SERIAL' }
    assert.partialDeepStrictEqual(body, { mac: MAC, bootToken: 'secret-token' })
    const inventory = body['inventory'] as Inventory
    assert.partialDeepStrictEqual(inventory.disks, [card, usbDisk])
    const other = inventory.nics.find(({ driver }) => driver === 'virtio_net')
    assert.partialDeepStrictEqual(other, { link: true, addresses: [] })
    const drivers = inventory.nics.map(({ driver }) => driver)
    for (const driver of olderDrivers)
      assert.ok(drivers.includes(driver), `${driver}: ${drivers.join()}`)
    assert.ok(Math.abs(Date.parse(inventory.at) - Date.now()) < DEADLINE_MS, inventory.at)
    assert.doesNotMatch(await machine.console.text(), /secret-token/)
  })

  it('powers off when the agent asks for it', async () => {
    await using server = await openHelloServer({})
    const words = [`stampede.url=${server.url}`, 'test.after=poweroff']
    await using machine = await boot(words)
    await machine.console.waitFor(/stampede: Powering off/, {
      deadlineMs: DEADLINE_MS,
      failOn: /ERROR/,
    })
    await machine.ended
    const { body } = await server.hello
    const { uptimeSeconds, availableKib } = body as Record<string, number>
    process.stdout.write(`first request after ${uptimeSeconds} s, ${availableKib} KiB available\n`)
  })

  it('leaves the error on screen, counts down and reboots when the agent fails', async () => {
    const unreachable = 'stampede.url=http://10.0.2.2:1'
    await using machine = await boot([unreachable, 'stampede.reboot_delay=3'])
    const { console } = machine
    await console.waitFor(/stampede: ERROR: The agent ended with exit code 1/, {
      deadlineMs: DEADLINE_MS,
      failOn: FAIL_ON,
    })
    for (const seconds of [3, 2, 1]) {
      await console.waitFor(new RegExp(`Rebooting in ${seconds} s`), { deadlineMs: 30_000 })
    }
    await machine.ended
  })

  it('gives a shell with all the tools instead, if the command line says so', async () => {
    await using machine = await boot(['stampede.shell=1'])
    const { console } = machine
    await console.waitFor(/ERROR: The kernel command line has no stampede\.url=/, {
      deadlineMs: DEADLINE_MS,
      failOn: /Kernel panic/,
    })
    await console.waitFor(/stampede# $/, { deadlineMs: 30_000 })
    // 127 from the dynamic loader: a library is missing. Some tools fail without arguments.
    const check = `for t in ${TOOLS.join(' ')}; do $t --version </dev/null >/tmp/out 2>&1; [ $? -ne 127 ] || echo "MISSING $t"; done; echo tools-"checked"`
    console.send(`${check}\n`)
    await console.waitFor(/tools-checked/, { deadlineMs: DEADLINE_MS, failOn: /MISSING [a-z]/ })
    console.send(`${USED_BLOCKS}\n`)
    await console.waitFor(/\/dev\/loop0 0x00000000 .* \+/, { deadlineMs: 60_000 })
    console.send('exit\n')
    await machine.ended
  })
})
