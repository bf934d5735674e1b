import assert from 'node:assert/strict'
import { chmod, open, readFile, readlink, writeFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { growRoot } from '#agent/steps/grow-root.ts'
import { resetIdentity } from '#agent/steps/reset-identity.ts'
import { createSystemFiles, type SystemFiles } from '#agent/system/system-files.ts'
import { IS_ROOT, mib, openLoopDisk, type LoopDisk } from '../system/loop-disk.ts'
import { installProgram, writeTinySystem } from '../system/tiny-system.ts'
import { BOOT_MAC, createContext } from './step-context.ts'
import { fileDigest } from '#test/support/loop-device.ts'

const OLD_MAC = '52:54:00:5a:00:0a'
const OLD_KEY = 'the key of the captured machine'

const CAPTURED: Record<string, string> = {
  '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
  '/etc/machine-id': '0123456789abcdef0123456789abcdef\n',
  '/var/lib/dbus/machine-id': '0123456789abcdef0123456789abcdef\n',
  '/var/lib/systemd/random-seed': 'seed',
  '/etc/ssh/sshd_config': 'PermitRootLogin no\n',
  '/etc/ssh/ssh_host_ed25519_key': OLD_KEY,
  '/etc/ssh/ssh_host_ed25519_key.pub': OLD_KEY,
  '/etc/ssh/ssh_host_dsa_key': OLD_KEY,
  '/var/lib/dhcp/dhclient.eth0.leases': 'lease { fixed-address 192.0.2.9; }',
  '/var/lib/NetworkManager/secret_key': 'secret',
  '/var/lib/NetworkManager/internal-0-eth0.lease': 'ADDRESS=192.0.2.9',
  '/var/lib/NetworkManager/NetworkManager.state': '[main]\n',
  '/etc/udev/rules.d/70-persistent-net.rules': 'SUBSYSTEM=="net"',
  '/etc/cloud/cloud.cfg': 'users: []\n',
  '/var/lib/cloud/instances/i-1/user-data.txt': '',
  '/var/lib/cloud/seed/nocloud/meta-data': 'instance-id: x',
  '/etc/netplan/50-lan.yaml': `network:\n  ethernets:\n    lan:\n      match: {}\n      macaddress: "${OLD_MAC}"\n`,
  '/etc/iscsi/initiatorname.iscsi': 'InitiatorName=iqn.1993-08.org.debian:01:abcdef\n',
}

async function openCaptured(content: Record<string, string> = {}): Promise<LoopDisk> {
  const disk = await openLoopDisk(mib(200))
  await disk.sfdisk('label: gpt\nsize=20M\n,\n')
  await disk.format(2, 'ext4')
  await disk.inside(2, 'ext4', async (root) => {
    await writeTinySystem(root, { ...CAPTURED, ...content })
    await installProgram(root, 'ssh-keygen')
  })
  return disk
}

/** The superblock of hashes, as veritysetup writes it: of blocks of 4 KiB. */
function verityHeader(blocks: number): Buffer {
  const header = Buffer.alloc(512)
  header.write('verity', 'latin1')
  header.writeUInt32LE(1, 8)
  header.write('sha256', 32, 'latin1')
  header.writeUInt32LE(4096, 64)
  header.writeUInt32LE(4096, 68)
  header.writeBigUInt64LE(BigInt(blocks), 72)
  return header
}

async function inspect<T>(disk: LoopDisk, look: (files: SystemFiles) => Promise<T>): Promise<T> {
  return await disk.inside(2, 'ext4', (root) => look(createSystemFiles(root)))
}

/** File systems that are smaller than their partition, and what makes them so. */
const HASHED: [fileSystem: string, size: string, sizeBytes: number][] = [
  ['ext4', '50m', mib(50)],
  ['xfs', '-dsize=320m', mib(320)],
  ['btrfs', '--byte-count=160m', mib(160)],
]

describe('resetting the identity', { skip: !IS_ROOT && 'needs root for loop devices' }, () => {
  it('changes nothing in a root of which a partition has hashes (dm-verity)', async () => {
    const blocks = 10_000
    await using disk = await openLoopDisk(mib(64))
    await disk.sfdisk(`label: gpt\nsize=${blocks * 8}\nsize=2M\n`)
    await disk.format(1, 'ext4')
    await disk.inside(1, 'ext4', (root) => writeTinySystem(root, CAPTURED))
    await writeFile(disk.partition(2), verityHeader(blocks))
    await exec('blockdev', ['--flushbufs', disk.path])
    const before = await fileDigest(disk.partition(1))
    const context = createContext(disk)
    assert.equal((await resetIdentity(context)).state, 'skipped')
    assert.match(context.warnings.join(), /p2 has hashes of .*p1 \(dm-verity\)/)
    assert.equal(await fileDigest(disk.partition(1)), before)
  })

  for (const [fileSystem, size, sizeBytes] of HASHED)
    it(`changes nothing in a root of ${fileSystem} with its hashes behind it`, async () => {
      await using disk = await openLoopDisk(sizeBytes + mib(10))
      await disk.sfdisk('label: gpt\n,\n')
      const place = disk.partition(1)
      await exec(`mkfs.${fileSystem}`, [place, size])
      await disk.inside(1, fileSystem, (root) => writeTinySystem(root, CAPTURED))
      {
        await using device = await open(place, 'r+')
        await device.write(verityHeader(sizeBytes / 4096), 0, 512, sizeBytes)
      }
      await exec('blockdev', ['--flushbufs', disk.path])
      const before = await fileDigest(place)
      const context = createContext(disk)
      assert.equal((await resetIdentity(context)).state, 'skipped')
      assert.equal((await growRoot(context)).state, 'skipped')
      assert.match(context.warnings.join(), /Hashes of .*p1 lie behind its file system/)
      assert.equal(await fileDigest(place), before)
    })

  it('leaves nothing that two clones would share', async () => {
    await using disk = await openCaptured()
    const context = createContext(disk)
    assert.deepEqual(await resetIdentity(context), { state: 'succeeded' })
    assert.deepEqual(context.warnings, [])
    const firstKey = await inspect(disk, async (files) => {
      assert.equal(await files.read('/etc/machine-id'), '')
      assert.equal(await files.linkTarget('/var/lib/dbus/machine-id'), '/etc/machine-id')
      const seed = await readFile(await files.resolve('/var/lib/systemd/random-seed'))
      assert.equal(seed.length, 512)
      assert.deepEqual(await files.list('/var/lib/dhcp'), [])
      assert.deepEqual(await files.list('/var/lib/NetworkManager'), ['NetworkManager.state'])
      assert.deepEqual(await files.list('/etc/udev/rules.d'), [])
      assert.deepEqual(await files.list('/var/lib/cloud'), ['seed'])
      const netplan = (await files.read('/etc/netplan/50-lan.yaml')) ?? ''
      assert(netplan.includes(BOOT_MAC) && !netplan.includes(OLD_MAC))
      const iscsi = await files.read('/etc/iscsi/initiatorname.iscsi')
      assert.match(iscsi ?? '', /^InitiatorName=iqn\.1993-08\.org\.debian:01:[0-9a-f]{12}\n$/)
      const keys = await files.list('/etc/ssh')
      assert(keys.includes('ssh_host_ed25519_key') && keys.includes('ssh_host_rsa_key'))
      for (const name of keys.filter((key) => key.startsWith('ssh_host')))
        assert.doesNotMatch((await files.read(`/etc/ssh/${name}`)) ?? '', /captured/)
      return await files.read('/etc/ssh/ssh_host_ed25519_key.pub')
    })

    await resetIdentity(createContext(disk))
    await inspect(disk, async (files) => {
      assert.notEqual(await files.read('/etc/ssh/ssh_host_ed25519_key.pub'), firstKey)
    })
  })

  it('removes the old host keys and warns where the image cannot make new ones', async () => {
    await using disk = await openCaptured()
    await disk.inside(2, 'ext4', async (root) => {
      await writeFile(`${root}/usr/sbin/ssh-keygen`, 'for another processor')
      await chmod(`${root}/usr/sbin/ssh-keygen`, 0o755)
    })
    const context = createContext(disk)
    await resetIdentity(context)
    assert.match(context.warnings.join(), /old SSH host keys were removed and no new ones made/)
    assert.deepEqual(await inspect(disk, (files) => files.list('/etc/ssh')), ['sshd_config'])
  })

  it('warns of MAC addresses that it cannot tell apart, and leaves them', async () => {
    const text = 'network:\n  ethernets:\n    a:\n      macaddress: 52:54:00:00:00:01\n'
    await using disk = await openCaptured({ '/etc/netplan/60-two.yaml': text })
    const context = createContext(disk)
    await resetIdentity(context)
    assert.match(context.warnings.join(), new RegExp(`${OLD_MAC}, 52:54:00:00:00:01`))
    assert.equal(await inspect(disk, (files) => files.read('/etc/netplan/60-two.yaml')), text)
  })

  it('changes nothing in a run that keeps the identity', async () => {
    await using disk = await openCaptured()
    const outcome = await resetIdentity(createContext(disk, { options: { identity: 'keep' } }))
    assert.equal(outcome.state, 'skipped')
    const key = await inspect(disk, (files) => files.read('/etc/ssh/ssh_host_ed25519_key'))
    assert.equal(key, OLD_KEY)
  })

  it('reaches /var on a partition of its own', async () => {
    await using disk = await openCaptured({ '/etc/fstab': 'LABEL=var /var ext4 defaults 0 2\n' })
    await disk.format(1, 'ext4', ['-L', 'var'])
    const lease = '/lib/dhcp/dhclient.leases'
    await disk.inside(1, 'ext4', async (root) => {
      await createSystemFiles(root).write(lease, 'lease {}')
      await createSystemFiles(root).write('/lib/dbus/machine-id', '0123')
    })
    const context = createContext(disk)
    await resetIdentity(context)
    assert.deepEqual(context.warnings, [])
    await disk.inside(1, 'ext4', async (root) => {
      assert.equal(await createSystemFiles(root).kind(lease), undefined)
      assert.equal(await readlink(`${root}/lib/dbus/machine-id`), '/etc/machine-id')
    })
  })
})
