import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import { exec } from '#agent/exec.ts'
import { readDiskAt } from '#agent/inventory/disks.ts'
import { runSteps } from '#agent/run-steps.ts'
import { STEPS } from '#agent/steps/index.ts'
import { confirmTarget } from '#agent/steps/confirm-target.ts'
import { wipeDisk } from '#agent/steps/wipe-disk.ts'
import { writeImage } from '#agent/steps/write-image.ts'
import { expectTarget } from '#protocol/run/expected-target.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { DiskHints } from '#protocol/machine/disk-hints.ts'
import type { Disk } from '#protocol/machine/inventory.ts'
import type { ExpectedTarget } from '#protocol/run/plan.ts'
import { openChunkServer } from '#test/support/chunk-server.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'
import { createTestContext } from '#test/support/step-context.ts'

const DISK_BYTES = 16 * CHUNK_BYTES

/** A disk with something to lose. */
async function openPrecious(): Promise<LoopDevice> {
  const disk = await openLoopDevice({ sizeBytes: DISK_BYTES })
  await exec('sfdisk', ['--quiet', disk.path], { input: 'label: gpt\nstart=2048, size=20480\n' })
  await exec('mkfs.ext4', ['-q', '-F', '-L', 'precious', '-E', 'offset=1048576', disk.path, '10M'])
  return disk
}

interface Setting {
  found: Disk
  expected?: ExpectedTarget
}

/** A run that is held to `expected`, if there is a plan, on a machine whose inventory has the disk as `found`. */
async function openRun(workflow: 'deploy' | 'wipe', { found, expected }: Setting) {
  const server = await openChunkServer()
  const image = { name: 'sample', digest: server.addImage(randomBytes(4 * CHUNK_BYTES)) }
  const context = createTestContext({
    serverUrl: server.url,
    workflow,
    image,
    disk: found,
    inventory: { disks: [found] },
    options: { disk: { path: found.path } },
  })
  const step = workflow === 'deploy' ? 'write-image' : 'wipe-disk'
  const run = { ...context.run, ...(expected && { expected }), steps: ['check-machine', step] }
  return {
    context: { ...context, run },
    perform: () =>
      runSteps({
        run,
        inventory: context.inventory,
        chunks: context.chunks,
        steps: STEPS,
        reporter: { started() {}, progress() {}, ended() {} },
        signal: context.signal,
        log: () => {},
      }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

const IDENTITY = { serial: 'A', model: 'M1', wwn: '0x5000c500a1b2c3d4' }

describe('a planned run', { skip: NEEDS_ROOT }, () => {
  const cases: [name: string, change: Partial<Disk>, reason: RegExp][] = [
    ['serial', { serial: 'B' }, /Disk serial is "B" but the plan said "A"/],
    ['model', { model: 'M2' }, /Disk model is "M2" but the plan said "M1"/],
    ['WWN', { wwn: 'eui.1' }, /Disk WWN is "eui\.1" but the plan said "0x5000c500a1b2c3d4"/],
    ['sector size', { sectorBytes: 4096 }, /Disk sector size is 4096 bytes but the plan said 512/],
    ['size', { sizeBytes: DISK_BYTES * 2 }, /Disk size is 33\.6 MB .* but the plan said 16\.8 MB/],
    [
      'content',
      { fingerprint: 'f'.repeat(64) },
      /What is on the disk .* is not what the plan said/,
    ],
  ]
  for (const workflow of ['deploy', 'wipe'] as const)
    for (const [name, change, reason] of workflow === 'deploy' ? cases : cases.slice(0, 1))
      it(`leaves the disk as it is if its inventory shows another ${name} (${workflow})`, async () => {
        await using disk = await openPrecious()
        const before = await disk.digest()
        const planned = { ...(await readDiskAt(exec, disk.path)), ...IDENTITY }
        const expected = expectTarget(planned)
        await using run = await openRun(workflow, { found: { ...planned, ...change }, expected })
        const result = await run.perform()
        assert.equal(result.state, 'failed')
        assert.match(result.error ?? '', reason)
        assert.equal(await disk.digest(), before)
      })

  const later: [name: string, change: (disk: LoopDevice) => Promise<unknown>][] = [
    ['label', (disk) => tune(disk, ['-L', 'later'])],
    ['UUID', (disk) => tune(disk, ['-U', '0f0f0f0f-1111-4222-8333-444444444444'])],
    [
      'partition',
      (disk) => exec('sfdisk', ['--quiet', '-N', '1', disk.path], { input: ', 22528\n' }),
    ],
    [
      'table',
      (disk) =>
        exec('sfdisk', ['--quiet', '--wipe', 'always', disk.path], { input: 'label: dos\n' }),
    ],
  ]
  for (const [step, work, tried] of [
    ['write-image', writeImage, later],
    ['wipe-disk', wipeDisk, later.slice(0, 1)],
  ] as const)
    for (const [name, change] of tried)
      it(`${step} looks once more: another ${name} since the check stops it before the first write`, async () => {
        await using disk = await openPrecious()
        const found = await readDiskAt(exec, disk.path)
        const expected = expectTarget(found)
        await using run = await openRun('deploy', { found, expected })
        await change(disk)
        const before = await disk.digest()
        await assert.rejects(work(run.context), /What is on the disk .* is not what the plan said/)
        assert.equal(await disk.digest(), before)
      })

  it('goes on where all is as planned', async () => {
    await using disk = await openPrecious()
    const found = await readDiskAt(exec, disk.path)
    await using run = await openRun('deploy', { found, expected: expectTarget(found) })
    const result = await run.perform()
    assert.equal(result.state, 'succeeded', result.error)
    assert.equal(result.receipt?.imageVerified, true)
  })

  it('goes on over its own half of an image, whose content no plan could know', async () => {
    await using disk = await openPrecious()
    const { fingerprint: _fingerprint, ...expected } = expectTarget(
      await readDiskAt(exec, disk.path),
    )
    await exec('sfdisk', ['--quiet', '--wipe', 'always', disk.path], { input: 'label: dos\n' })
    const found = await readDiskAt(exec, disk.path)
    await using run = await openRun('deploy', { found, expected })
    assert.equal((await run.perform()).state, 'succeeded')
  })
})

describe('a disk that no plan names', { skip: NEEDS_ROOT }, () => {
  for (const [workflow, work] of [
    ['deploy', writeImage],
    ['wipe', wipeDisk],
  ] as const) {
    it(`is left as it is if it was changed since the inventory (${workflow})`, async () => {
      await using disk = await openPrecious()
      const found = await readDiskAt(exec, disk.path)
      await using run = await openRun(workflow, { found })
      await tune(disk, ['-L', 'later'])
      const before = await disk.digest()
      await assert.rejects(work(run.context), /was changed since .* so nothing was written/)
      assert.equal(await disk.digest(), before)
    })

    it(`is left as it is if another one took its path (${workflow})`, async () => {
      await using disk = await openPrecious()
      const found = { ...(await readDiskAt(exec, disk.path)), ...IDENTITY }
      await using run = await openRun(workflow, { found })
      const before = await disk.digest()
      await assert.rejects(work(run.context), /was changed since .* so nothing was written/)
      assert.equal(await disk.digest(), before)
    })
  }

  it('is left as it is if another one that fits has appeared since the inventory', async () => {
    await using device = await openPrecious()
    const found = await readDiskAt(exec, device.path)
    await using run = await openRun('deploy', { found })
    // Loop devices fit only by their path.
    const disk = { ...found, transport: 'sata', serial: 'A' }
    const late = { ...disk, path: '/dev/sdz', serial: 'B', sizeBytes: 2 * DISK_BYTES }
    const look = async (hints: DiskHints | undefined, disks: Disk[]) => {
      const options = { ...run.context.run.options, disk: hints }
      await confirmTarget(
        { ...run.context, run: { ...run.context.run, options } },
        async () => disks,
      )
    }
    for (const hints of [undefined, { minBytes: DISK_BYTES }])
      await assert.rejects(
        look(hints, [disk, late]),
        /changed since .* nothing was written\. 2 disks fit.*Name one disk .* by its serial/,
      )
    await assert.rejects(look({ serial: 'B' }, [disk, late]), /Now \/dev\/sdz .* fits instead/)
    for (const hints of [{ path: disk.path }, { serial: 'A' }, { maxBytes: DISK_BYTES }])
      await look(hints, [disk, late])
    await look(undefined, [disk])
    await look(undefined, [disk, { ...late, removable: true }])
  })

  it('is written if it is as it was', async () => {
    await using disk = await openPrecious()
    await using run = await openRun('deploy', { found: await readDiskAt(exec, disk.path) })
    const result = await run.perform()
    assert.equal(result.state, 'succeeded', result.error)
  })
})

/** Changes the file system in the first partition, wherever it begins. */
async function tune(disk: LoopDevice, args: string[]): Promise<void> {
  const { stdout } = await exec('losetup', ['--find', '--show', '--offset', '1048576', disk.path])
  const partition = stdout.trim()
  try {
    await exec('tune2fs', ['-f', ...args, partition])
  } finally {
    await exec('losetup', ['--detach', partition])
  }
}
