import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtempDisposable, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { readLayout } from '#agent/system/layout.ts'
import type { Disk } from '#lab/disk.ts'
import { goldenImage } from '#lab/golden-images.ts'
import { GOLDEN_MAC, GOLDEN_PASSWORD } from '#lab/golden-recipes.ts'
import { openMachine } from '#lab/machine.ts'
import { openLabNetwork } from '#lab/network.ts'
import { buildInitramfs } from '../../initramfs/build.ts'

const GIB = 1024 ** 3
const TARGET_BYTES = 10 * GIB
/** Software emulation on a busy machine: some 60 s are usual. */
const DEADLINE_MS = 300_000
const COPY_SECONDS = 300
const ROUTE_DEADLINE_MS = 120_000
/** The card may get its address after the login prompt has come. */
const WAIT_FOR_ROUTE =
  'for _ in $(seq 60); do ip -4 route | grep -q ^default && break; sleep 1; done'
const FIXTURE_AGENT = resolve(import.meta.dirname, '../fixtures/grow-agent.ts')

type Result = {
  refusal: string
  outcomes: { state: string; message?: string }[]
  warnings: string[]
  system: Record<string, unknown> & { sizeBytes: number; hostKeys: string[] }
  left: { mounts: string[]; mapped: unknown[] }
}

describe('growth and identity on LVM', () => {
  it('work on the target and leave an older clone with the same names as it is', async () => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-grow-'))
    const golden = await goldenImage('a', (message) => process.stderr.write(`${message}\n`))
    const clone = await copyDisk(golden, join(folder.path, 'clone.raw'), 'OLD')
    const target = await copyDisk(golden, join(folder.path, 'target.raw'), 'NEW')
    await truncate(target.file, TARGET_BYTES)
    const initramfs = join(folder.path, 'initramfs')
    await buildInitramfs({
      outputFolder: initramfs,
      agentEntry: FIXTURE_AGENT,
      firmware: true,
      refresh: false,
    })

    const before = await hashFile(clone.file)
    await using machine = await openMachine({
      name: 'grow',
      folder: join(folder.path, 'machine'),
      firmware: 'bios',
      disks: [clone, target],
      kernel: {
        file: join(initramfs, 'kernel'),
        initrd: join(initramfs, 'initrd'),
        arguments:
          'console=ttyS0 quiet panic=1 rootfstype=ramfs rdinit=/bin/node -- /agent/agent.mjs',
      },
    })
    const options = { deadlineMs: DEADLINE_MS, failOn: /FAILED|Kernel panic/ }
    const [, json] = await machine.console.waitFor(/RESULT (\{.*\})\r?\n/, options)
    await machine.ended

    assert.equal(await hashFile(clone.file), before, 'the older clone has changed')
    const result = JSON.parse(json!) as Result
    assert.match(result.refusal, /"golden" can't be activated: .* on vda\d/)
    assert.deepEqual(
      result.outcomes.map(({ state }) => state),
      ['succeeded', 'succeeded', 'succeeded'],
    )
    assert.deepEqual(result.warnings, [])
    assert.deepEqual(result.left, { mounts: [], mapped: [] })
    const { system } = result
    assert(system.sizeBytes > 0.9 * TARGET_BYTES, `${system.sizeBytes} bytes`)
    assert.equal(system['hostname'], 'node7\n')
    assert.equal(system['machineId'], '')
    assert(!String(system['netplan']).includes(GOLDEN_MAC))
    assert.match(String(system['network']), /192\.0\.2\.10\/24/)
    assert(system.hostKeys.includes('ssh_host_ed25519_key.pub'))
    await checkTable(target.file)
    await checkBoot(target, join(folder.path, 'boot'))
  })
})

/** There is no DHCP server on the bridge: the address can only be the static one. */
async function checkBoot(target: Disk, folder: string): Promise<void> {
  await using network = await openLabNetwork()
  await using machine = await openMachine({
    name: 'grown',
    folder,
    firmware: 'bios',
    disks: [target],
    card: { network, mac: '52:54:00:12:34:56', romFile: '' },
  })
  const { console } = machine
  await console.login(GOLDEN_PASSWORD)
  assert.equal((await console.shell('hostname')).trim(), 'node7')
  await console.shell(WAIT_FOR_ROUTE, { deadlineMs: ROUTE_DEADLINE_MS })
  const addresses = await console.shell('ip -4 -o address show scope global')
  assert.deepEqual(addresses.match(/inet \S+/g), ['inet 192.0.2.10/24'])
  const status = await console.shell('networkctl --no-pager status --all')
  assert.match(status, /10-netplan-00-stampede\.network/)
  assert.doesNotMatch(status, /10-netplan-lan\.network/)
}

async function copyDisk(from: string, file: string, serial: string): Promise<Disk> {
  await exec('cp', ['--sparse=always', from, file], { timeoutSeconds: COPY_SECONDS })
  return { file, format: 'raw', bus: 'virtio', serial }
}

async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(file), hash)
  return hash.digest('hex')
}

async function checkTable(file: string): Promise<void> {
  const layout = await readLayout(exec, file)
  const { startSector, sizeSectors } = layout.partitions.at(-1)!
  const endBytes = (startSector + sizeSectors) * layout.sectorBytes
  assert(TARGET_BYTES - endBytes <= 2 * 1024 * 1024, `the last partition ends at ${endBytes}`)
  const { stdout } = await exec('sgdisk', ['--verify', file])
  assert.match(stdout, /No problems found/)
}
