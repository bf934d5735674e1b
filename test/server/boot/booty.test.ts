import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Value } from 'typebox/value'
import type { Disk, Inventory } from '#protocol/machine/inventory.ts'
import type { RunOptions, Workflow } from '#protocol/run/run.ts'
import {
  BootyConfigSchema,
  type BootyRequest,
  bootyAnswer,
  findDeviceBytes,
  findBootyMac,
} from '#server/boot/booty.ts'

const link = 'http://192.0.2.1:8080/l/token/debian.img.gz'

function run(workflow: Workflow, options: Partial<RunOptions> = {}): BootyRequest['run'] {
  const rest = { zeroUnused: false, identity: 'reset', force: false } as const
  return { workflow, options: { grow: true, after: 'reboot', ...rest, ...options } }
}

function disk(path: string, changes: Partial<Disk> = {}): Disk {
  return {
    path,
    sizeBytes: 8e9,
    sectorBytes: 512,
    rotational: false,
    removable: false,
    readOnly: false,
    partitionTable: { type: 'none' },
    partitions: [],
    fingerprint: '0'.repeat(64),
    ...changes,
  }
}

function inventory(...disks: Disk[]): Inventory {
  return {
    at: '2026-05-01T12:00:00.000Z',
    agentVersion: '0.1.0',
    firmware: 'bios',
    architecture: 'x86_64',
    smbios: {},
    cpu: { sockets: 1, cores: 1, threads: 1 },
    memoryBytes: 1e9,
    disks,
    nics: [],
  }
}

function config(request: Partial<BootyRequest> & Pick<BootyRequest, 'run'>) {
  const answer = bootyAnswer({ link, ...request })
  assert.equal(answer.kind, 'config')
  return answer.kind === 'config' ? answer : assert.fail()
}

describe('the path that BOOTy asks for', () => {
  it('is understood at / and /booty/, with doubled slashes and in any spelling', () => {
    for (const path of [
      '/00-50-56-a5-0e-0f.bty',
      '//00-50-56-a5-0e-0f.bty',
      '/booty/00-50-56-A5-0E-0F.bty',
      '/booty//00:50:56:a5:0e:0f.bty',
      '//booty/005056a50e0f.BTY',
    ])
      assert.equal(findBootyMac(path), '00:50:56:a5:0e:0f')
  })

  it('is no path of ours otherwise', () => {
    for (const path of ['/', '/x.bty', '/00-50-56-a5-0e-0f', '/a/00-50-56-a5-0e-0f.bty', '/.bty'])
      assert.equal(findBootyMac(path), undefined)
  })
})

describe('the configuration for BOOTy', () => {
  it('of a deployment has every key that BOOTy needs', () => {
    const imageInfo = { rootVolume: '/dev/ubuntu-vg/root', rootPartition: 3 }
    const network = { address: '192.0.2.9/24', gateway: '192.0.2.1', nameservers: ['1.1.1.1', 'x'] }
    const answer = config({
      run: run('deploy', { disk: { path: '/dev/sdb' }, network }),
      imageInfo,
    })
    assert.deepEqual(answer.config, {
      action: 'writeImage',
      compressed: true,
      sourceImage: link,
      destinationDevice: '/dev/sdb',
      growDisk: true,
      dryRun: false,
      growPartition: 3,
      lvmRootName: '/dev/ubuntu-vg/root',
      address: '192.0.2.9/24',
      gateway: '192.0.2.1',
      nameserver: '1.1.1.1',
      dropToShell: false,
      wipeDevice: false,
    })
  })

  it('of a capture says where to send the disk, in the spelling that BOOTy reads', () => {
    const answer = config({ run: run('capture', { disk: { path: '/dev/vda' } }) })
    assert.deepEqual(answer.config, {
      action: 'readImage',
      compressed: true,
      sourceDevice: '/dev/vda',
      desintationAddress: link,
      growDisk: false,
      dryRun: false,
      growPartition: 0,
      lvmRootName: '',
      dropToShell: false,
      wipeDevice: false,
    })
  })

  it('never has a null and always the keys that may not be left out', () => {
    for (const workflow of ['deploy', 'capture'] as const) {
      const answer = config({ run: run(workflow, { grow: false }) })
      const wire: unknown = JSON.parse(JSON.stringify(answer.config))
      assert.ok(Value.Check(BootyConfigSchema, wire))
      assert.ok(!JSON.stringify(wire).includes('null'))
    }
  })

  it('grows only what BOOTy can grow: the partition of a volume group', () => {
    const volume = {
      number: 5,
      startBytes: 0,
      sizeBytes: 1,
      type: '0x8e',
      fileSystem: 'LVM2_member',
    }
    const rootVolume = '/dev/vg/root'
    const grown = config({ run: run('deploy'), imageInfo: { rootVolume, partitions: [volume] } })
    assert.equal(grown.config.growPartition, 5)
    const plain = config({ run: run('deploy'), imageInfo: { rootPartition: 2 } })
    assert.partialDeepStrictEqual(plain.config, { growPartition: 0, lvmRootName: '' })
    const kept = config({ run: run('deploy', { grow: false }), imageInfo: { rootVolume } })
    assert.partialDeepStrictEqual(kept.config, { growPartition: 0, lvmRootName: rootVolume })
  })

  it('leaves out what the network of the run does not say', () => {
    const network = { address: '192.0.2.9/24' }
    const answer = config({ run: run('deploy', { network }) })
    assert.equal(answer.config.address, '192.0.2.9/24')
    assert.ok(!('gateway' in answer.config) && !('nameserver' in answer.config))
  })

  it('is none for a locked machine, or a disk that the image does not fit', () => {
    const disks = inventory(disk('/dev/sda'))
    const deploy = { run: run('deploy'), link, inventory: disks }
    const fitting = { sizeBytes: 8e9, sectorBytes: 512 }
    assert.equal(bootyAnswer({ ...deploy, imageSize: fitting }).kind, 'config')
    for (const [reason, request] of [
      [/is locked/, { isLocked: true }],
      [/8000000512 bytes .* only 8000000000/, { imageSize: { ...fitting, sizeBytes: 8e9 + 512 } }],
      [/sectors of 4096 bytes .* has 512/, { imageSize: { ...fitting, sectorBytes: 4096 } }],
    ] as const) {
      const answer = bootyAnswer({ ...deploy, ...request })
      assert.match(answer.kind === 'refused' ? answer.reason : '', reason)
    }
  })

  it('refuses workflows that BOOTy does not have', () => {
    for (const workflow of ['wipe', 'inventory'] as const)
      assert.equal(bootyAnswer({ run: run(workflow), link }).kind, 'refused')
  })
})

describe('the device that BOOTy is told', () => {
  it('is the one candidate of the inventory', () => {
    const usb = disk('/dev/sda', { transport: 'usb' })
    const disks = inventory(usb, disk('/dev/nvme0n1'))
    const { device, warning } = config({ run: run('deploy'), inventory: disks })
    assert.equal(device, '/dev/nvme0n1')
    assert.equal(warning, undefined)
  })

  it('is the one that the hints lead to', () => {
    const disks = inventory(disk('/dev/sda'), disk('/dev/sdb', { serial: 'S4EV' }))
    const hinted = run('deploy', { disk: { serial: 's4ev' } })
    assert.equal(config({ run: hinted, inventory: disks }).device, '/dev/sdb')
  })

  it('is /dev/sda with a warning if nothing says which', () => {
    const two = inventory(disk('/dev/sda'), disk('/dev/sdb'))
    for (const known of [{}, { inventory: two }]) {
      const { device, warning } = config({ run: run('deploy'), ...known })
      assert.equal(device, '/dev/sda')
      assert.match(warning!, /^BOOTy was told to use \/dev\/sda/)
    }
  })

  it('has the size that the inventory knows, if it knows the device', () => {
    const disks = inventory(disk('/dev/vda', { sizeBytes: 5e9 }))
    const request = { link, inventory: disks }
    assert.equal(findDeviceBytes({ run: run('capture'), ...request }), 5e9)
    const other = run('capture', { disk: { path: '/dev/sdz' } })
    assert.equal(findDeviceBytes({ run: other, ...request }), undefined)
    assert.equal(findDeviceBytes({ run: run('capture'), link }), undefined)
  })

  it('is none if the path is that of another disk than the other hints say, or nobody knows', () => {
    const disks = inventory(
      disk('/dev/sda', { serial: 'DATA' }),
      disk('/dev/sdb', { serial: 'S4EV' }),
    )
    const hinted = (path: string) => run('deploy', { disk: { path, serial: 'S4EV' } })
    assert.equal(config({ run: hinted('/dev/sdb'), inventory: disks }).device, '/dev/sdb')
    for (const known of [{}, { inventory: disks }])
      assert.equal(bootyAnswer({ run: hinted('/dev/sda'), link, ...known }).kind, 'refused')
  })

  it('is none if hints lead to no disk', () => {
    const options = { disk: { serial: 'gone' } }
    for (const known of [{}, { inventory: inventory(disk('/dev/sda')) }])
      assert.equal(bootyAnswer({ run: run('deploy', options), link, ...known }).kind, 'refused')
  })
})
