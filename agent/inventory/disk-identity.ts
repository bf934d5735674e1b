/** What sysfs tells of a disk's identity, as it is read. */
export interface DiskAttributes {
  /** `sda`, `nvme0n1`, `vda` */
  name: string
  /** Where the device hangs: `/sys/devices/pci0000:00/…/ata1/…/block/sda`. */
  devicePath: string
  /** virtio keeps it beside the disk, NVMe and MMC with the device. */
  serial?: string | undefined
  /** SCSI page 0x80, which libata fills for SATA disks. */
  vpdPage80?: Uint8Array | undefined
  wwid?: string | undefined
  model?: string | undefined
  vendor?: string | undefined
  /** Of the USB device that the disk is, or is behind: USB disks rarely tell their own. */
  usbSerial?: string | undefined
}

export interface DiskIdentity {
  serial?: string
  wwn?: string
  model?: string
  vendor?: string
  transport?: string
}

const PAGE_HEADER_BYTES = 4

export function identifyDisk(attributes: DiskAttributes): DiskIdentity {
  const { vpdPage80, usbSerial } = attributes
  const serial = attributes.serial ?? parseSerialPage(vpdPage80) ?? usbSerial
  const wwn = parseWwid(attributes.wwid)
  const transport = findTransport(attributes.name, attributes.devicePath)
  const { model } = attributes
  // PCI vendor numbers, which virtio gives here, are no names.
  const vendor = attributes.vendor?.startsWith('0x') ? undefined : attributes.vendor
  return {
    ...(serial !== undefined && { serial }),
    ...(wwn !== undefined && { wwn }),
    ...(model !== undefined && { model }),
    ...(vendor !== undefined && { vendor }),
    ...(transport !== undefined && { transport }),
  }
}

/** SPC-4, 7.8.13: unit serial number, ASCII, often padded with blanks. */
export function parseSerialPage(page: Uint8Array | undefined): string | undefined {
  if (!page || page.length < PAGE_HEADER_BYTES || page[1] !== 0x80) return undefined
  const length = (page[2]! << 8) | page[3]!
  const text = new TextDecoder('latin1').decode(
    page.subarray(PAGE_HEADER_BYTES, PAGE_HEADER_BYTES + length),
  )
  return text.replaceAll('\0', '').trim() || undefined
}

/**
 * A world-wide name out of the kernel's `wwid`, written as udev and labels do: `naa.5000…` becomes
 * `0x5000…`, `eui.…` and NVMe's `uuid.…` stay. `t10.…` is made of model and serial: no name.
 */
export function parseWwid(wwid: string | undefined): string | undefined {
  const naa = wwid?.match(/^naa\.([0-9a-fA-F]+)/)
  if (naa) return `0x${naa[1]!.toLowerCase()}`
  return wwid && /^(eui|uuid)\./.test(wwid) ? wwid : undefined
}

/**
 * The folder of the USB device that a disk hangs from, behind however many hubs:
 * `/sys/devices/…/usb1/1-4/1-4.2/1-4.2:1.0/host6/…` → `/sys/devices/…/usb1/1-4/1-4.2`.
 */
export function usbDeviceFolder(devicePath: string): string | undefined {
  return devicePath.match(/^.*\/usb\d+(?:\/\d+-[\d.]+)+(?=\/\d+-[\d.]+:)/)?.[0]
}

/** Of the types of an MMC bus, the ones in a slot. The kernel calls neither them nor eMMC (`MMC`) removable. */
export function isMemoryCard(mmcType: string | undefined): boolean {
  return mmcType === 'SD' || mmcType === 'SDcombo'
}

const TRANSPORT_OF_PATH = [
  [/\/usb\d+\//, 'usb'],
  [/\/nvme\//, 'nvme'],
  [/\/ata\d+\//, 'sata'],
  [/\/mmc_host\//, 'mmc'],
] as const

function findTransport(name: string, devicePath: string): string | undefined {
  if (name.startsWith('loop')) return 'loop'
  // A virtio disk is named so; a SCSI disk behind a virtio controller is a SCSI disk.
  if (name.startsWith('vd')) return 'virtio'
  const found = TRANSPORT_OF_PATH.find(([pattern]) => pattern.test(devicePath))
  if (found) return found[1]
  return /\/host\d+\//.test(devicePath) ? 'scsi' : undefined
}
