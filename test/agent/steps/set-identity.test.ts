import assert from 'node:assert/strict'
import { readFile, symlink, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { setIdentity } from '#agent/steps/set-identity.ts'
import { createSystemFiles } from '#agent/system/system-files.ts'
import { IS_ROOT, mib, openLoopDisk, type LoopDisk } from '../system/loop-disk.ts'
import { writeTinySystem } from '../system/tiny-system.ts'
import { openTemporaryRoot } from '../system/temporary-root.ts'
import { createContext } from './step-context.ts'

const NETWORK = { address: '192.0.2.10/24', gateway: '192.0.2.1', nameservers: ['192.0.2.53'] }

async function openInstalled(content: Record<string, string>): Promise<LoopDisk> {
  const disk = await openLoopDisk(mib(100))
  await disk.sfdisk('label: dos\n,\n')
  await disk.format(1, 'ext4')
  await disk.inside(1, 'ext4', (root) => writeTinySystem(root, content))
  return disk
}

async function readFrom(disk: LoopDisk, path: string): Promise<string | undefined> {
  return await disk.inside(1, 'ext4', (root) => createSystemFiles(root).read(path))
}

describe('setting the identity', { skip: !IS_ROOT && 'needs root for loop devices' }, () => {
  it('writes the host name, and keeps it against cloud-init', async () => {
    await using disk = await openInstalled({
      '/etc/hostname': 'golden\n',
      '/etc/hosts': '127.0.0.1 localhost\n127.0.1.1 golden\n',
      '/etc/cloud/cloud.cfg': '',
    })
    const outcome = await setIdentity(createContext(disk, { options: { hostname: 'node7' } }))
    assert.equal(outcome.state, 'succeeded')
    assert.equal(await readFrom(disk, '/etc/hostname'), 'node7\n')
    assert.equal(await readFrom(disk, '/etc/hosts'), '127.0.0.1 localhost\n127.0.1.1\tnode7\n')
    const cloud = await readFrom(disk, '/etc/cloud/cloud.cfg.d/99-stampede-hostname.cfg')
    assert.equal(cloud, 'preserve_hostname: true\n')
  })

  it('does not follow a hostile link out of the image', async () => {
    await using outside = await openTemporaryRoot({ '/etc/passwd': 'ours' })
    const victim = `${outside.path}/etc/passwd`
    await using disk = await openInstalled({})
    await disk.inside(1, 'ext4', (root) => symlink(victim, `${root}/etc/hostname`))
    await setIdentity(createContext(disk, { options: { hostname: 'node7' } }))
    assert.equal(await readFile(victim, 'utf8'), 'ours')
    assert.equal(await readFrom(disk, '/etc/hostname'), 'node7\n')
  })

  it('does nothing in a run that sets neither', async () => {
    const outcome = await setIdentity(createContext({ path: '/dev/null' }))
    assert.equal(outcome.state, 'skipped')
  })

  it('fails where a static network was asked for and there is no root to write it to', async () => {
    await using disk = await openInstalled({})
    await disk.format(1, 'ext4', ['-F', '-q'])
    const context = createContext(disk, { options: { network: NETWORK } })
    await assert.rejects(setIdentity(context), /no root was found/)
  })

  it('fails where nobody in the image would configure the network', async () => {
    await using disk = await openInstalled({})
    const context = createContext(disk, { options: { network: NETWORK } })
    await assert.rejects(setIdentity(context), /none of netplan/)
  })

  it('writes the network for ifupdown instead of DHCP, and resolv.conf', async () => {
    await using disk = await openInstalled({
      '/usr/sbin/ifup': '',
      '/etc/network/interfaces': 'auto lo\niface lo inet loopback\nauto eth0\n',
      '/etc/network/interfaces.d/eth0': 'iface eth0 inet dhcp\n',
      '/etc/resolv.conf': 'search test\nnameserver 203.0.113.1\n',
    })
    await setIdentity(createContext(disk, { options: { network: NETWORK } }))
    assert.equal(
      await readFrom(disk, '/etc/network/interfaces'),
      `# Written by Stampede when it deployed this machine. Change it as you like.
auto mac/52:54:00:12:34:56=stampede
iface stampede inet static
    address 192.0.2.10/24
    gateway 192.0.2.1
    dns-nameservers 192.0.2.53

auto lo
iface lo inet loopback
#auto eth0
`,
    )
    assert.equal(await readFrom(disk, '/etc/network/interfaces.d/eth0'), '#iface eth0 inet dhcp\n')
    assert.equal(await readFrom(disk, '/etc/resolv.conf'), 'search test\nnameserver 192.0.2.53\n')
  })

  it('writes the network for netplan and removes what cloud-init had generated', async () => {
    await using disk = await openInstalled({
      '/usr/sbin/netplan': '',
      '/etc/netplan/50-cloud-init.yaml': 'network: {}\n',
      '/etc/netplan/60-mine.yaml': 'network: {}\n',
      '/etc/cloud/cloud.cfg': '',
    })
    await disk.inside(1, 'ext4', async (root) => {
      await symlink('../run/systemd/resolve/stub-resolv.conf', `${root}/etc/resolv.conf`)
      await writeFile(`${root}/usr/sbin/netplan`, '')
    })
    await setIdentity(createContext(disk, { options: { network: NETWORK } }))
    const text = (await readFrom(disk, '/etc/netplan/99-stampede.yaml')) ?? ''
    assert.match(text, /macaddress: "52:54:00:12:34:56"/)
    assert.match(text, /addresses: \["192\.0\.2\.10\/24"\]/)
    assert.equal(await readFrom(disk, '/etc/netplan/50-cloud-init.yaml'), undefined)
    assert.equal(await readFrom(disk, '/etc/netplan/60-mine.yaml'), 'network: {}\n')
    assert.equal(await readFrom(disk, '/run/systemd/resolve/stub-resolv.conf'), undefined)
    const cloud = await readFrom(disk, '/etc/cloud/cloud.cfg.d/99-stampede-network.cfg')
    assert.match(cloud ?? '', /config: disabled/)
  })
})
