import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import type { PlanRequest } from '#protocol/run/plan.ts'
import { planItem, type PlanFacts, type PlannedMachine } from '#server/runs/plan-item.ts'
import { createDisk, createInventory } from '#test/support/inventory.ts'
import {
  CAPTURE,
  createFacts,
  createImage,
  createMachine,
  DEPLOY,
  MAC,
  NOW,
  WIPE,
} from './plan-facts.ts'

interface Setting {
  request?: PlanRequest
  machine?: Partial<PlannedMachine>
  disks?: Disk[]
  facts?: Partial<PlanFacts>
}

function plan({ request = DEPLOY, machine, disks, facts }: Setting = {}) {
  const inventory = createInventory(disks && { disks })
  return planItem(request, createMachine({ inventory, ...machine }), createFacts(facts), NOW)
}

/** With a GPT whose last partition ends at a byte. */
function imageTo(endBytes: number) {
  const partition = { number: 1, startBytes: 1024 ** 2, sizeBytes: endBytes - 1024 ** 2, type: '' }
  return createImage({
    info: { bootModes: ['bios'], partitionTable: 'gpt', partitions: [partition] },
  })
}

const SECOND = createDisk({ path: '/dev/vdb', serial: 'disk-2' })
const STICK = createDisk({ path: '/dev/sda', serial: 'stick', transport: 'usb', removable: true })

describe('the target of a plan', () => {
  it('is the only candidate; a USB stick is none, and is said to stay as it is', () => {
    const item = plan({ disks: [STICK, createDisk({ model: 'QEMU' })] })
    assert.deepEqual(item.problems, [])
    assert.equal(item.target?.serial, 'disk-1')
    assert.deepEqual(item.untouched, [
      { path: '/dev/sda', serial: 'stick', sizeBytes: STICK.sizeBytes },
    ])
  })

  it("is what the request's hints name, else those of the machine", () => {
    const disks = [createDisk(), SECOND]
    const machine = { disk: { serial: 'disk-2' } }
    assert.equal(plan({ disks, machine }).target?.serial, 'disk-2')
    const request = { ...DEPLOY, disk: { serial: 'disk-1' } }
    assert.equal(plan({ disks, machine, request }).target?.serial, 'disk-1')
  })

  it('holds a deploy to the content, and a capture to the disk alone', () => {
    assert.equal(plan().target?.fingerprint, '0'.repeat(64))
    const capture = plan({ request: CAPTURE })
    assert.equal(capture.target?.serial, 'disk-1')
    assert.equal(capture.target?.fingerprint, undefined)
    assert.deepEqual(capture.losses, [])
  })

  it('is in doubt where only the path tells it from another disk', () => {
    const codes = (disks: Disk[], facts?: Partial<PlanFacts>) => {
      const request = { ...DEPLOY, disk: { path: '/dev/vda' } }
      return plan({ disks, request, ...(facts && { facts }) }).warnings.map(({ code }) => code)
    }
    const { serial: _serial, ...nameless } = createDisk()
    const twins = [nameless, { ...nameless, path: '/dev/vdb' }]
    assert.ok(codes(twins).includes('disk-ambiguous'))
    const dummies = twins.map((disk) => ({ ...disk, serial: '0000' }))
    assert.ok(codes(dummies).includes('disk-ambiguous'))
    const others = [nameless, { ...nameless, path: '/dev/vdb', fingerprint: '1'.repeat(64) }]
    assert.ok(!codes(others).includes('disk-ambiguous'))
    // Nothing holds the run to a content that is not known.
    assert.ok(codes(others, { writers: new Map([[MAC, 'run-7']]) }).includes('disk-ambiguous'))
    assert.ok(!codes([createDisk(), SECOND]).includes('disk-ambiguous'))
  })

  it('is not held to a content that a run of ours has changed since', () => {
    const item = plan({ facts: { writers: new Map([[MAC, 'run-7']]) } })
    assert.equal(item.target?.fingerprint, undefined)
    assert.deepEqual(
      item.warnings.map(({ code }) => code),
      ['content-unknown', 'growth-unsure'],
    )
  })
})

describe('a plan says that nothing can be done', () => {
  const oneGiB = 1024 ** 3
  const cases: [name: string, setting: Setting, code: string, message: RegExp][] = [
    ['without an inventory', { machine: { inventory: null } }, 'inventory-missing', /boot .* once/],
    ['with a locked machine', { machine: { locked: true } }, 'machine-locked', /unlock it first/],
    [
      'beside another run',
      { facts: { activeRuns: new Map([[MAC, { id: 'r1', workflow: 'wipe', state: 'queued' }]]) } },
      'run-active',
      /is queued with run r1 \(wipe\)/,
    ],
    [
      'with two disks and no hint',
      { disks: [createDisk(), SECOND] },
      'disk-ambiguous',
      /2 disks fit: \/dev\/vda .*"disk-1".*\/dev\/vdb .*"disk-2".*Name one disk/,
    ],
    [
      'with hints that no disk meets',
      { machine: { disk: { serial: 'other' } } },
      'disk-missing',
      /No disk fits for \{"serial":"other"\}; this machine has \/dev\/vda/,
    ],
    ['with no disk at all', { disks: [] }, 'disk-missing', /this machine has none/],
    [
      'with a disk in use',
      {
        disks: [createDisk({ busy: '/dev/vda1 is mounted at /' })],
        machine: { disk: { path: '/dev/vda' } },
      },
      'disk-busy',
      /is in use: \/dev\/vda1 is mounted at \//,
    ],
    [
      'on a read-only disk',
      { disks: [createDisk({ readOnly: true })] },
      'disk-read-only',
      /read-only/,
    ],
    [
      'with an image that is too large',
      { disks: [createDisk({ sizeBytes: oneGiB - 512 })] },
      'image-too-large',
      /"debian" is 1\.1 GB \(1073741824 bytes\) but disk \/dev\/vda holds 1\.1 GB \(1073741312 bytes\)/,
    ],
    [
      'with an image that may be cut, and cannot be',
      {
        disks: [createDisk({ sizeBytes: oneGiB / 2 })],
        facts: { images: new Map([['debian', imageTo(oneGiB / 2)]]) },
        request: { ...DEPLOY, allowShrink: true },
      },
      'image-too-large',
      /its last partition ends at byte 536870912, and its backup GPT takes 16896 bytes more; choose/,
    ],
    [
      'with an image that could be cut, but may not',
      {
        disks: [createDisk({ sizeBytes: oneGiB / 2 })],
        facts: { images: new Map([['debian', imageTo(oneGiB / 4)]]) },
      },
      'image-too-large',
      /its last partition ends at byte 268435456, so allow the run to cut it \(allowShrink\), or choose/,
    ],
    [
      'with an image for other sectors',
      { disks: [createDisk({ sectorBytes: 4096 })] },
      'sector-size',
      /sectors of 512 bytes but disk \/dev\/vda has 4096/,
    ],
    [
      'with an image for other firmware',
      { facts: { images: new Map([['debian', createImage({ info: { bootModes: ['uefi'] } })]]) } },
      'other-firmware',
      /boots on UEFI firmware only but this machine started with BIOS/,
    ],
    [
      'with an image for another processor',
      {
        facts: {
          images: new Map([['debian', createImage({ info: { architecture: 'aarch64' } })]]),
        },
      },
      'other-architecture',
      /type "aarch64" but this machine has "x86_64"/,
    ],
    [
      'with an image that is not there',
      { request: { ...DEPLOY, image: 'none' } },
      'image-unknown',
      /There is no image "none"/,
    ],
    [
      'with no image named or assigned',
      { request: { workflow: 'deploy', macs: [MAC] } },
      'image-missing',
      /has no image assigned/,
    ],
    [
      'into a name that another capture is about to take',
      { request: CAPTURE, facts: { captures: new Map([['golden', 'r2']]) } },
      'image-in-use',
      /Run r2 is capturing into image "golden" already/,
    ],
    [
      'with hints that contradict each other',
      { request: { ...WIPE, disk: { minBytes: 2, maxBytes: 1 } } },
      'disk-impossible',
      /at least 2 and at most 1/,
    ],
    [
      'with a capture of sectors that no image has',
      { request: CAPTURE, disks: [createDisk({ sectorBytes: 520 })] },
      'sector-size',
      /520 bytes, not 512 or 4096/,
    ],
  ]
  for (const [name, setting, code, message] of cases) {
    it(name, () => {
      const { problems } = plan(setting)
      const found = problems.find((problem) => problem.code === code)
      assert.match(found?.message ?? JSON.stringify(problems), message)
    })
  }

  it('forced, firmware and processor are only warned of', () => {
    const images = new Map([['debian', createImage({ info: { bootModes: ['uefi'] } })]])
    const item = plan({ request: { ...DEPLOY, force: true }, facts: { images } })
    assert.deepEqual(item.problems, [])
    assert.ok(item.warnings.some(({ code }) => code === 'other-firmware'))
  })
})

describe('a plan warns', () => {
  it('of an inventory that is a week old', () => {
    const lastInventoryAt = new Date('2026-04-25T12:00:00.000Z')
    const { warnings, problems } = plan({ machine: { lastInventoryAt }, request: WIPE })
    assert.deepEqual(problems, [])
    assert.match(warnings[0]?.message ?? '', /^The inventory is 7 days old \(2026-04-25T12:00/)
    assert.equal(warnings[0]?.code, 'inventory-old')
  })

  it('of a capture that takes the place of an image', () => {
    const item = plan({ request: { ...CAPTURE, image: 'debian' } })
    assert.deepEqual(item.problems, [])
    assert.deepEqual(
      item.warnings.map(({ code }) => code),
      ['image-replaced'],
    )
    assert.equal(item.imageDigest, null)
  })
})

describe('a plan for a disk that is smaller than the image', () => {
  const disks = [createDisk({ sizeBytes: 1024 ** 3 / 2 })]
  const request = { ...DEPLOY, allowShrink: true, grow: false }
  const warningsWith = (image: ReturnType<typeof createImage>) => {
    const item = plan({ disks, request, facts: { images: new Map([['debian', image]]) } })
    assert.deepEqual(item.problems, [])
    return item.warnings
  }

  it('says where the image is cut', () => {
    const [warning, ...others] = warningsWith(imageTo(1024 ** 3 / 4))
    assert.equal(warning?.code, 'image-cut')
    assert.match(
      warning.message,
      /from 1073741824 to the disk's 536870912 bytes.*at byte 268435456/,
    )
    assert.deepEqual(others, [])
  })

  it('says that it does not know where it does not', () => {
    assert.equal(warningsWith(createImage())[0]?.code, 'shrink-unsure')
  })
})

describe('the root of a plan', () => {
  const ROOT = { type: '0fc63daf-8483-4772-8e79-3d69d8477de4', fileSystem: 'ext4' }
  const MIB = 1024 ** 2
  const esp = {
    number: 1,
    startBytes: MIB,
    sizeBytes: 100 * MIB,
    type: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
    fileSystem: 'vfat',
  }
  const root = { number: 2, startBytes: 101 * MIB, sizeBytes: 900 * MIB, ...ROOT }
  const swap = {
    ...root,
    number: 3,
    startBytes: 1001 * MIB,
    sizeBytes: 10 * MIB,
    fileSystem: 'swap',
  }

  function fitOf(partitions: object[], request = DEPLOY, more: ImageInfo = {}) {
    const known = partitions as (typeof root)[]
    const info: ImageInfo = { bootModes: ['bios'], partitionTable: 'gpt', partitions: known }
    const image = createImage({ info: { ...info, ...more } })
    return plan({ request, facts: { images: new Map([['debian', image]]) } })
  }

  it('grows to the last full MiB before the backup table', () => {
    const { fit, warnings } = fitOf([esp, root])
    const diskBytes = createDisk().sizeBytes
    const grows = { partition: 2, fromBytes: 900 * MIB, toBytes: diskBytes - MIB - root.startBytes }
    assert.deepEqual(fit, { imageBytes: 1024 ** 3, diskBytes, grows })
    assert.deepEqual(warnings, [])
  })

  it('stays where it is not the last, where two could be it, and where that is asked for', () => {
    const behind = fitOf([esp, root, swap])
    assert.equal(behind.fit?.grows, null)
    assert.match(
      behind.warnings[0]?.message ?? '',
      /partition 2 is not the last partition: partition 3/,
    )
    const two = fitOf([root, { ...swap, fileSystem: 'xfs' }])
    assert.match(two.warnings[0]?.message ?? '', /which of the partitions 2 and 3 is the root/)
    const noted = fitOf([root, { ...swap, fileSystem: 'xfs' }], DEPLOY, { rootPartition: 3 })
    assert.equal(noted.fit?.grows?.partition, 3)
    const kept = fitOf([esp, root], { ...DEPLOY, grow: false })
    assert.equal(kept.fit?.grows, null)
    assert.deepEqual(kept.warnings, [])
  })

  it('may stay as it is where nothing tells which it is', () => {
    const logical = { ...root, number: 5 }
    const extended = { ...root, type: '0x05', fileSystem: undefined }
    const mbr = { partitionTable: 'mbr' as const }
    for (const [partitions, more, reason] of [
      [[], {}, /no partition table is known/],
      [[root], { partitionTable: 'none' }, /no partition table is known/],
      [[esp], {}, /no partition of the image looks like the root of a Linux, or like a Windows/],
      [
        [{ ...root, number: 1 }, extended],
        mbr,
        /the logical partitions of the image are not known/,
      ],
    ] as [object[], ImageInfo, RegExp][]) {
      const { fit, warnings } = fitOf(partitions, DEPLOY, more)
      assert.equal(fit?.grows, null)
      assert.match(warnings[0]?.message ?? '', reason)
    }
    assert.equal(fitOf([extended, logical], DEPLOY, mbr).fit?.grows?.partition, 5)
  })

  it('has nothing to grow where it ends with the disk', () => {
    const whole = { ...root, sizeBytes: 922 * MIB }
    const images = new Map([
      ['debian', createImage({ info: { partitionTable: 'gpt', partitions: [esp, whole] } })],
    ])
    const { fit } = plan({ facts: { images }, disks: [createDisk({ sizeBytes: 1024 * MIB })] })
    assert.equal(fit?.grows, null)
  })
})
