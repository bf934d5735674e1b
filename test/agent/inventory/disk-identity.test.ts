import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { identifyDisk, isMemoryCard, parseSerialPage } from '#agent/inventory/disk-identity.ts'
import { parseWwid, usbDeviceFolder } from '#agent/inventory/disk-identity.ts'

/** As a Samsung SATA disk answers through libata: header, length, serial padded with blanks. */
const SERIAL_PAGE = Buffer.from('\x00\x80\x00\x14S3Z2NB0K123456A     ', 'latin1')

describe('identifyDisk', () => {
  it('knows a SATA disk by its serial page and its path', () => {
    const identity = identifyDisk({
      name: 'sda',
      devicePath: '/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda',
      vpdPage80: SERIAL_PAGE,
      wwid: 'naa.5002538E40A1B2C3',
      model: 'Samsung SSD 860',
      vendor: 'ATA',
    })
    assert.deepEqual(identity, {
      serial: 'S3Z2NB0K123456A',
      wwn: '0x5002538e40a1b2c3',
      model: 'Samsung SSD 860',
      vendor: 'ATA',
      transport: 'sata',
    })
  })

  it('takes the serial of a virtio disk, and no vendor number for a vendor', () => {
    const identity = identifyDisk({
      name: 'vda',
      devicePath: '/sys/devices/pci0000:00/0000:00:02.0/virtio1/block/vda',
      serial: 'golden-a',
      vendor: '0x1af4',
    })
    assert.deepEqual(identity, { serial: 'golden-a', transport: 'virtio' })
  })

  it('takes the serial of the USB device for a USB disk that tells none', () => {
    const usb = { name: 'sdb', devicePath: '/sys/devices/usb1/1-1/1-1:1.0/host6', usbSerial: 'U1' }
    assert.deepEqual(identifyDisk(usb), { serial: 'U1', transport: 'usb' })
    assert.equal(identifyDisk({ ...usb, vpdPage80: SERIAL_PAGE }).serial, 'S3Z2NB0K123456A')
  })

  for (const [name, devicePath, transport] of [
    ['nvme0n1', '/sys/devices/pci0000:00/0000:00:04.0/nvme/nvme0/nvme0n1', 'nvme'],
    [
      'sdb',
      '/sys/devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb',
      'usb',
    ],
    [
      'sdc',
      '/sys/devices/pci0000:00/0000:00:05.0/virtio2/host2/target2:0:0/2:0:0:0/block/sdc',
      'scsi',
    ],
    [
      'mmcblk0',
      '/sys/devices/pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0',
      'mmc',
    ],
    ['loop0', '/sys/devices/virtual/block/loop0', 'loop'],
    ['xvda', '/sys/devices/vbd-768/block/xvda', undefined],
  ] as const) {
    it(`calls ${name} a disk of transport ${transport}`, () => {
      assert.equal(identifyDisk({ name, devicePath }).transport, transport)
    })
  }
})

describe('usbDeviceFolder', () => {
  const port = '/sys/devices/pci0000:00/0000:00:14.0/usb2'

  it('is the last USB device on the way to the disk, not a hub', () => {
    const scsi = 'host6/target6:0:0/6:0:0:0/block/sdb'
    assert.equal(usbDeviceFolder(`${port}/2-1/2-1:1.0/${scsi}`), `${port}/2-1`)
    assert.equal(
      usbDeviceFolder(`${port}/2-1/2-1.4/2-1.4.2/2-1.4.2:1.0/${scsi}`),
      `${port}/2-1/2-1.4/2-1.4.2`,
    )
  })

  it('is none for another disk', () => {
    const sata = '/sys/devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda'
    assert.equal(usbDeviceFolder(sata), undefined)
  })
})

it('takes cards in a slot for removable, not what is soldered in', () => {
  const types = ['SD', 'SDcombo', 'MMC', undefined]
  assert.deepEqual(types.map(isMemoryCard), [true, true, false, false])
})

describe('parseSerialPage', () => {
  it('finds no serial in an empty, short or other page', () => {
    assert.equal(parseSerialPage(undefined), undefined)
    assert.equal(parseSerialPage(Buffer.of(0, 0x80)), undefined)
    assert.equal(parseSerialPage(Buffer.from('\x00\x83\x00\x04abcd', 'latin1')), undefined)
    assert.equal(parseSerialPage(Buffer.from('\x00\x80\x00\x04    ', 'latin1')), undefined)
  })
})

describe('parseWwid', () => {
  it('writes names as udev does, and takes a T10 identifier for none', () => {
    assert.equal(parseWwid('naa.50014EE2B5F1A0D3'), '0x50014ee2b5f1a0d3')
    assert.equal(parseWwid('eui.0025385b71b0a1c2'), 'eui.0025385b71b0a1c2')
    assert.equal(parseWwid('t10.ATA     QEMU HARDDISK   QM00001'), undefined)
  })
})
