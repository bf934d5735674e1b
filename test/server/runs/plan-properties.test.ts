import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { checkMachine } from '#agent/steps/check-machine.ts'
import type { AgentRun } from '#protocol/run/agent.ts'
import type { ChunkClient } from '#agent/chunks/chunk-client.ts'
import type { DiskHints } from '#protocol/machine/disk-hints.ts'
import type { Manifest } from '#protocol/image/image.ts'
import type { ImageInfo } from '#protocol/image/image-info.ts'
import type { Disk, Inventory, Partition } from '#protocol/machine/inventory.ts'
import type { PlanRequest } from '#protocol/run/plan.ts'
import { planItem } from '#server/runs/plan-item.ts'
import type { PlannedImage } from '#server/runs/plan-judge.ts'
import { createInventory } from '#test/support/inventory.ts'
import { createFacts, createImage, createMachine, MAC, NOW } from './plan-facts.ts'

const GIB = 1024 ** 3
const text = fc.option(fc.constantFrom('A', 'B', ' a ', 'Ünïcode', ''), { nil: undefined })
const bytes = fc.constantFrom(0, 512, GIB - 512, GIB, GIB + 512, 4 * 2 ** 40, 4 * 2 ** 40)
const type = fc.constantFrom('gpt' as const, 'mbr' as const, 'none' as const)
const fileSystem = fc.record(
  { type: fc.constantFrom('ext4', 'ntfs', 'LVM2_member', 'x'), label: fc.string() },
  { requiredKeys: ['type'] },
)

/** Undefined for the most part: too many oddities at once, and nothing but refusals is tried. */
function seldom<Value>(arbitrary: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> {
  return fc.oneof({ weight: 6, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })
}

/** Leaves out what is undefined, as JSON does. */
function plain<Value>(value: unknown): Value {
  return JSON.parse(JSON.stringify(value)) as Value
}

const partition = fc
  .record({
    number: fc.integer({ min: 1, max: 6 }),
    path: fc.string(),
    startBytes: fc.nat(),
    sizeBytes: bytes,
    type: fc.constantFrom('0x83', '0x05', '0x8e', 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '', 'ü'),
    name: text,
    fileSystem: fc.option(fileSystem, { nil: undefined }),
  })
  .map(plain<Partition>)

const disk = fc
  .record({
    path: fc.constantFrom('/dev/sda', '/dev/sdb', '/dev/nvme0n1'),
    model: text,
    serial: text,
    wwn: text,
    sizeBytes: bytes,
    sectorBytes: fc.constantFrom(512, 512, 512, 4096, 520),
    rotational: fc.boolean(),
    removable: seldom(fc.constant(true)).map((is) => is ?? false),
    readOnly: seldom(fc.constant(true)).map((is) => is ?? false),
    transport: fc.constantFrom('usb', 'loop', 'sata', undefined),
    busy: seldom(fc.constant('/dev/sda1 is mounted at /')),
    partitionTable: fc.record({ type }),
    partitions: fc.array(partition, { maxLength: 4 }),
    fileSystem: fc.option(fileSystem, { nil: undefined }),
    fingerprint: fc.constantFrom('0'.repeat(64), '1'.repeat(64)),
  })
  .map(plain<Disk>)

const inventory: fc.Arbitrary<Inventory> = fc
  .record({
    at: fc.string(),
    firmware: fc.constantFrom('bios' as const, 'uefi' as const),
    architecture: fc.constantFrom('x86_64', 'aarch64', ''),
    disks: fc.array(disk, { maxLength: 3 }),
  })
  .map(createInventory)

const hints = fc
  .record({
    serial: seldom(text),
    path: seldom(fc.constant('/dev/sda')),
    minBytes: seldom(bytes),
    maxBytes: seldom(bytes),
    removable: seldom(fc.boolean()),
  })
  .map(plain<DiskHints>)

const info = fc
  .record({
    partitionTable: fc.option(type, { nil: undefined }),
    partitions: fc.option(
      fc.array(
        partition.map(({ fileSystem: found, ...rest }) => ({ ...rest, fileSystem: found?.type })),
      ),
      { nil: undefined },
    ),
    bootModes: fc.subarray(['bios', 'uefi']),
    architecture: fc.constantFrom('x86_64', 'aarch64', 'i686', undefined),
    rootPartition: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  })
  .map(plain<ImageInfo>)

const image: fc.Arbitrary<PlannedImage> = fc
  .record({ info, sizeBytes: bytes, sectorBytes: fc.constantFrom(512, 512, 4096) })
  .map(createImage)

const request = fc
  .record({
    workflow: fc.constantFrom('deploy' as const, 'capture' as const, 'wipe' as const),
    force: fc.boolean(),
    grow: fc.boolean(),
    disk: fc.option(hints, { nil: undefined }),
  })
  .map((settings) => plain<PlanRequest>({ ...settings, macs: [MAC], image: imageFor(settings) }))

function imageFor({ workflow }: { workflow: PlanRequest['workflow'] }): string | undefined {
  return workflow === 'deploy' ? 'debian' : workflow === 'capture' ? 'golden' : undefined
}

const setting = fc.record({ inventory, request, image, machineHints: fc.option(hints) })
type Setting = typeof setting extends fc.Arbitrary<infer Value> ? Value : never

function planOf({ inventory: found, request: asked, image: content, machineHints }: Setting) {
  const machine = createMachine({ inventory: found, disk: machineHints, lastInventoryAt: null })
  return planItem(asked, machine, createFacts({ images: new Map([['debian', content]]) }), NOW)
}

describe('whatever a machine and an image are', () => {
  it('planning never throws, and the target is one of the disks', () => {
    fc.assert(
      fc.property(setting, (about) => {
        const { target, untouched, problems } = planOf(about)
        const { disks } = about.inventory
        assert.equal(untouched.length, disks.length - (target ? 1 : 0))
        if (!target) return assert.ok(problems.length > 0)
        assert.ok(
          disks.some(
            ({ path, sizeBytes }) => path === target.path && sizeBytes === target.sizeBytes,
          ),
        )
      }),
      { numRuns: 1000 },
    )
  })

  it('the agent accepts what a plan has no problem with, and chooses the same disk', async () => {
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(setting, async (about) => {
        const item = planOf(about)
        if (item.problems.length > 0) return
        accepted++
        const found = await checkMachine(contextOf(about, item))
        assert.equal(found.path, item.target?.path)
        assert.equal(found.sizeBytes, item.target?.sizeBytes)
      }),
      { numRuns: 3000 },
    )
    assert.ok(accepted > 100, `Only ${accepted} plans had no problem`)
  })

  it('the agent refuses in the same words what a plan has a problem with', async () => {
    let refused = 0
    await fc.assert(
      fc.asyncProperty(setting, async (about) => {
        const item = planOf(about)
        const [problem] = item.problems.filter(({ code }) => code !== 'disk-impossible')
        if (!problem || item.problems.some(({ code }) => code === 'disk-impossible')) return
        refused++
        await assert.rejects(checkMachine(contextOf(about, item)), { message: problem.message })
      }),
      { numRuns: 3000 },
    )
    assert.ok(refused > 100, `Only ${refused} plans had a problem`)
  })
})

/** What an agent is given that finds the same inventory, and an image that begins with zeros. */
function contextOf(
  { inventory: found, image: content, request: asked }: Setting,
  item: ReturnType<typeof planOf>,
) {
  const { sizeBytes, sectorBytes, digest } = content
  const manifest = { sizeBytes, sectorBytes, segments: [null] }
  const chunks: Pick<ChunkClient, 'manifest' | 'read'> = {
    manifest: async () => manifest as Manifest,
    read: async () => assert.fail('A segment of zeros has no chunks'),
  }
  const run: AgentRun = {
    id: 'run',
    attempt: 1,
    workflow: asked.workflow,
    steps: ['check-machine'],
    machine: { mac: MAC, locked: false },
    image: { name: 'debian', digest, info: content.info },
    options: item.options!,
    ...(item.target && { expected: item.target }),
  }
  return {
    run,
    inventory: found,
    chunks: chunks as ChunkClient,
    signal: new AbortController().signal,
    exec: () => assert.fail('Nothing is run before the disk is known'),
    log() {},
    warn() {},
    progress() {},
    receipt() {},
  }
}
