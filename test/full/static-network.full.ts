import assert from 'node:assert/strict'
import { mkdtempDisposable, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { growRoot } from '#agent/steps/grow-root.ts'
import { resetIdentity } from '#agent/steps/reset-identity.ts'
import { setIdentity } from '#agent/steps/set-identity.ts'
import { openDeployedSystem } from '#agent/system/deployed-system.ts'
import type { SystemFiles } from '#agent/system/system-files.ts'
import { goldenImage } from '#lab/golden-images.ts'
import { GOLDEN_PASSWORD } from '#lab/golden-recipes.ts'
import type { GoldenName } from '#lab/golden-recipes.ts'
import { openMachine } from '#lab/machine.ts'
import { openLabNetwork } from '#lab/network.ts'
import { BOOT_MAC, createContext } from '../agent/steps/step-context.ts'

const GIB = 1024 ** 3
const TARGET_BYTES = 7 * GIB
const COPY_SECONDS = 300
const ADDRESS = '192.0.2.10/24'
const NETWORK = { address: ADDRESS, gateway: '192.0.2.1', nameservers: ['192.0.2.53'] }
/** The card may get its address after the login prompt has come. */
const WAIT_FOR_ROUTE =
  'for _ in $(seq 60); do ip -4 route | grep -q ^default && break; sleep 1; done'

describe('a static network, on a bridge without any DHCP server', () => {
  const cases: [golden: GoldenName, backEnd: string, prepare?: Prepare][] = [
    ['b', 'ifupdown'],
    ['c', 'network-manager'],
    ['c', 'networkd', useNetworkd],
  ]
  for (const [golden, backEnd, prepare] of cases)
    it(`is up in image ${golden}, by ${backEnd}, and nothing else is`, async () => {
      await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-static-'))
      const file = join(folder.path, 'disk.raw')
      const image = await goldenImage(golden, (message) => process.stderr.write(`${message}\n`))
      await exec('cp', ['--sparse=always', image, file], { timeoutSeconds: COPY_SECONDS })
      await truncate(file, TARGET_BYTES)
      const logs = await personalize(file, prepare)
      assert.match(logs.join('\n'), new RegExp(`by ${backEnd}$`))

      await using network = await openLabNetwork()
      await using machine = await openMachine({
        name: golden,
        folder: join(folder.path, 'machine'),
        firmware: 'bios',
        disks: [{ file, format: 'raw', bus: 'virtio', serial: 'STATIC' }],
        card: { network, mac: BOOT_MAC, romFile: '' },
      })
      const { console } = machine
      await console.login(GOLDEN_PASSWORD)
      assert.equal((await console.shell('hostname')).trim(), 'node7')
      await console.shell(WAIT_FOR_ROUTE, { deadlineMs: 120_000 })
      const addresses = await console.shell('ip -4 -o address show scope global')
      assert.deepEqual(addresses.match(/inet \S+/g), [`inet ${ADDRESS}`])
      assert.match(await console.shell('ip -4 route'), /^default via 192\.0\.2\.1 /m)
      assert.match(await console.shell('cat /etc/resolv.conf'), /^nameserver 192\.0\.2\.53$/m)
      assert.match(await console.shell('cat /etc/machine-id'), /^[0-9a-f]{32}$/m)
      assert.match(await console.shell('systemctl is-active ssh'), /^active$/m)
      const size = Number(await console.shell('stat -f -c "%b * %S" / | xargs expr'))
      assert(size > 0.9 * TARGET_BYTES, `${size} bytes`)
    })
})

type Prepare = (files: SystemFiles) => Promise<void>

/** As if the image had been set up with networkd, and DHCP on all cards. */
async function useNetworkd(files: SystemFiles): Promise<void> {
  const wants = '/etc/systemd/system/multi-user.target.wants'
  const unit = 'systemd-networkd.service'
  await files.remove(`${wants}/NetworkManager.service`)
  await files.link(`${wants}/${unit}`, `/lib/systemd/system/${unit}`)
  const dhcp = '[Match]\nName=e*\n[Network]\nDHCP=yes\n'
  await files.write('/etc/systemd/network/20-wired.network', dhcp)
}

/** What a deploy does after the image was written; returns what it logged. */
async function personalize(file: string, prepare?: Prepare): Promise<string[]> {
  const attached = await exec('losetup', ['--find', '--show', file])
  const path = attached.stdout.trim()
  await exec('blockdev', ['--setrw', path])
  await exec('partx', ['--add', path])
  try {
    const context = createContext({ path }, { options: { hostname: 'node7', network: NETWORK } })
    if (prepare) {
      await using system = await openDeployedSystem(context)
      assert(system)
      await prepare(system.files)
    }
    for (const step of [growRoot, resetIdentity, setIdentity])
      assert.equal((await step(context)).state, 'succeeded')
    assert.deepEqual(context.warnings, [])
    return context.logs
  } finally {
    await exec('partx', ['--delete', path])
    await exec('losetup', ['--detach', path])
  }
}
