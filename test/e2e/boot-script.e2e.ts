import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdtempDisposable, open, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { type Console, createConsole } from '#lab/console.ts'
import { parseMac } from '#protocol/mac.ts'
import { writeAutoexecScript, writeScript } from '#server/boot/script.ts'

const deadline = { deadlineMs: 180_000 }
const mac = parseMac('52:54:00:12:34:56')
/** How QEMU's user network shows this host. */
const HOST = '10.0.2.2'

/** A boot sector that prints on the serial line, then halts. */
const BOOT_SECTOR = Buffer.concat([
  Buffer.from('31c08ed8fcbe167cac84c07406baf803eeebf5f4ebfd', 'hex'),
  Buffer.from('LOCAL-DISK-STARTED\r\n\0'.padEnd(488, '\0'), 'latin1'),
  Buffer.from([0x55, 0xaa]),
])

/** A machine with Debian's iPXE in its card that runs the text made for our URL, and a disk. */
async function boot(
  firmware: 'bios' | 'uefi',
  makeScript: (url: string) => string,
  observe: (console: Console, requests: string[]) => Promise<void>,
  processor = 'qemu64',
): Promise<void> {
  await using dir = await mkdtempDisposable(join(tmpdir(), 'boot-script-'))
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(request.url!)
    const isScript = request.url!.endsWith('.ipxe')
    response.writeHead(isScript ? 200 : 404).end(isScript ? makeScript(url) : '')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://${HOST}:${(server.address() as AddressInfo).port}`

  const disk = join(dir.path, 'disk')
  await writeFile(disk, Buffer.concat([BOOT_SECTOR, Buffer.alloc(1024 * 1024)]))
  const file = join(dir.path, 'console')
  await using output = await open(file, 'w')
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ['-machine', 'q35,graphics=off', '-accel', 'tcg', '-cpu', processor],
      ['-m', '512', '-nodefaults'],
      ['-display', 'none', '-vga', 'std', '-chardev', 'stdio,id=c0', '-serial', 'chardev:c0'],
      ['-netdev', `user,id=n0,bootfile=${url}/first.ipxe`],
      ['-device', `virtio-net-pci,netdev=n0,mac=${mac},bootindex=0`],
      ['-drive', `if=none,id=d0,format=raw,file=${disk}`, '-device', 'ide-hd,drive=d0,bootindex=1'],
      firmware === 'uefi' ? await uefiArguments(dir.path) : [],
    ].flat(),
    { stdio: ['pipe', output.fd, 'inherit'] },
  )
  const ended = once(qemu, 'exit')
  try {
    const hasEnded = () => qemu.exitCode !== null || qemu.signalCode !== null
    const serial = createConsole({ name: firmware, file, input: qemu.stdin!, hasEnded })
    await observe(serial, requests)
  } finally {
    qemu.kill('SIGKILL')
    await ended
    server.closeAllConnections()
    server.close()
  }
}

async function uefiArguments(folder: string): Promise<string[]> {
  const vars = join(folder, 'vars.fd')
  await copyFile('/usr/share/OVMF/OVMF_VARS_4M.fd', vars)
  const code = '/usr/share/OVMF/OVMF_CODE_4M.fd'
  return [
    ['-drive', `if=pflash,unit=0,format=raw,readonly=on,file=${code}`],
    ['-drive', `if=pflash,unit=1,format=raw,file=${vars}`],
    ['-fw_cfg', 'name=opt/org.tianocore/IPv6PXESupport,string=n'],
    ['-fw_cfg', 'name=opt/org.tianocore/IPv4PXESupport,string=n'],
  ].flat()
}

const agentScript = (url: string) =>
  writeScript({ kind: 'agent', purpose: 'run', url, mac, bootToken: 'token' })

describe('iPXE in a machine', () => {
  it('under BIOS shows a failure, whatever is in its text, and starts the disk', async () => {
    const notice = 'No disk fits "S4EV"; ${mac}\necho HACKED && echo HACKED || echo HACKED'
    const script = () => writeScript({ kind: 'local', mac, notice })
    await boot('bios', script, async (console) => {
      await console.waitFor(/No disk fits S4EV, \?\?mac\? echo HACKED/, deadline)
      await console.waitFor(/Starting the local disk[^]*LOCAL-DISK-STARTED/, deadline)
      assert.doesNotMatch(await console.text(), /^HACKED/m)
    })
  })

  it('on a processor without 64 bits says so, loads nothing and starts the disk', async () => {
    const observe = async (console: Console, requests: string[]) => {
      await console.waitFor(/The agent needs a 64-bit processor/, deadline)
      await console.waitFor(/Starting the local disk[^]*LOCAL-DISK-STARTED/, deadline)
      assert.deepEqual(requests, ['/first.ipxe'])
    }
    await boot('bios', agentScript, observe, 'qemu32')
  })

  for (const firmware of ['bios', 'uefi'] as const)
    it(`under ${firmware} says that the server does not answer, and asks again`, async () => {
      await boot(firmware, agentScript, async (console, requests) => {
        await console.waitFor(/Stampede: starting the agent on 52:54:00:12:34:56/, deadline)
        await console.waitFor(/The Stampede server at http:\S+ does not answer/, deadline)
        await console.waitFor(/Trying again in 2 seconds \(1 of 5\)/, deadline)
        await console.waitFor(/Trying again in 4 seconds \(2 of 5\)/, deadline)
        const kernels = requests.filter((path) => path === '/boot/kernel')
        assert.ok(kernels.length >= 2, `asked ${kernels.length} times`)
      })
    })

  it('under UEFI leaves the start of the disk to the firmware, also from autoexec.ipxe', async () => {
    let isFirst = true
    const script = (url: string) => {
      const text = isFirst ? writeAutoexecScript(url) : writeScript({ kind: 'local', mac })
      isFirst = false
      return text
    }
    await boot('uefi', script, async (console, requests) => {
      await console.waitFor(/Stampede: nothing to do for 52:54:00:12:34:56/, deadline)
      await console.waitFor(/Starting the local disk/, deadline)
      await console.waitFor(/BdsDxe: [a-z ]+ Boot\d+ "UEFI QEMU HARDDISK/, deadline)
      assert.deepEqual(requests.slice(0, 2), ['/first.ipxe', '/boot/52-54-00-12-34-56.ipxe'])
    })
  })
})
