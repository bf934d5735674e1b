import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { sha256 } from '#agent/chunks/content.ts'
import { openDevice, type Device } from '#agent/disk/device.ts'
import type { Piece } from '#agent/pipeline/image-plan.ts'
import { createReadBack } from '#agent/pipeline/read-back.ts'
import { ReadBackError } from '#agent/pipeline/verify-pieces.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import { NEEDS_ROOT, openLoopDevice, type LoopDevice } from '#test/support/loop-device.ts'

const WINDOW_CHUNKS = 128
const DISK_CHUNKS = 320
/** The disk is a hole: every chunk of it is this one. */
const HASH_OF_ZEROS = sha256(Buffer.alloc(CHUNK_BYTES))
/** Documentation/block/stat.rst. */
const FLUSHES = 15

function chunkAt(index: number): Piece {
  const start = index * CHUNK_BYTES
  return { kind: 'data', start, end: start + CHUNK_BYTES, hash: HASH_OF_ZEROS }
}

function spoil({ file }: LoopDevice, index: number): void {
  const fd = openSync(file, 'r+')
  writeSync(fd, Buffer.of(1), 0, 1, index * CHUNK_BYTES + 77)
  closeSync(fd)
}

function flushes({ path }: LoopDevice): number {
  const text = readFileSync(`/sys/block/${path.slice('/dev/'.length)}/stat`, 'latin1')
  return Number(text.trim().split(/\s+/)[FLUSHES])
}

describe('reading back beside writing', { skip: NEEDS_ROOT }, () => {
  let disk: LoopDevice
  let device: Device
  before(async () => {
    disk = await openLoopDevice({ sizeBytes: DISK_CHUNKS * CHUNK_BYTES })
    device = await openDevice(disk.path, 'write')
  })
  after(async () => {
    await device[Symbol.asyncDispose]()
    await disk[Symbol.asyncDispose]()
  })

  function open(
    onVerified: (piece: Piece) => void = () => {},
    more: { isSpinning?: boolean } = {},
  ) {
    const signal = new AbortController().signal
    return createReadBack({
      device,
      zeroUnused: false,
      isSpinning: false,
      signal,
      onVerified,
      ...more,
    })
  }

  it('proves a window as soon as it is full, flushed before, while more is written', async () => {
    const before = flushes(disk)
    const { promise, resolve } = Promise.withResolvers<void>()
    let verified = 0
    let flushesAtFirst = 0
    await using proof = open(() => {
      if (verified++ === 0) flushesAtFirst = flushes(disk)
      if (verified === WINDOW_CHUNKS) resolve()
    })
    for (let index = 0; index < WINDOW_CHUNKS; index++) await proof.written(chunkAt(index))
    await promise
    assert.ok(flushesAtFirst > before)
    await proof.written(chunkAt(WINDOW_CHUNKS))
    await proof.settle()
    assert.equal(verified, WINDOW_CHUNKS + 1)
  })

  it('moves the heads of a spinning disk to and fro less: all is written before any is read', async () => {
    let verified = 0
    await using proof = open(() => void verified++, { isSpinning: true })
    for (let index = 0; index < 2 * WINDOW_CHUNKS; index++) await proof.written(chunkAt(index))
    assert.equal(verified, 0)
    await proof.settle()
    assert.equal(verified, 2 * WINDOW_CHUNKS)
  })

  it('stops the writers when a window does not read back as it should', async () => {
    spoil(disk, 5)
    await using proof = open()
    for (let index = 0; index < WINDOW_CHUNKS; index++) await proof.written(chunkAt(index))
    const aborted = new Promise((resolve) => proof.signal.addEventListener('abort', resolve))
    if (!proof.signal.aborted) await aborted
    assert.ok(proof.signal.reason instanceof ReadBackError)
    await assert.rejects(proof.settle(), ReadBackError)
    await device.zero({ start: 0, end: 8 * CHUNK_BYTES })
  })

  it('looks once more at the end, for disks that have less room than they claim', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    let verified = 0
    await using proof = open(() => void (++verified === 2 * WINDOW_CHUNKS && resolve()))
    for (let index = 0; index < 2 * WINDOW_CHUNKS; index++) await proof.written(chunkAt(index))
    await promise
    // What was written later landed on what was proven earlier.
    for (let index = 0; index < WINDOW_CHUNKS; index++) spoil(disk, index)
    await assert.rejects(proof.settle(), ReadBackError)
    await device.zero({ start: 0, end: WINDOW_CHUNKS * CHUNK_BYTES })
  })
})
