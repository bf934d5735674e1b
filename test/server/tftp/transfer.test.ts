import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { negotiate } from '#server/tftp/negotiate.ts'
import {
  type Transfer,
  type TransferStep,
  advance,
  createTransfer,
  supersedes,
  wireBlock,
} from '#server/tftp/transfer.ts'

const TIMEOUT_MS = 1000
const ack = (block: number) => ({ kind: 'packet', packet: { kind: 'ack', block } }) as const

function start(sizeBytes: number, { blockBytes = 8, windowBlocks = 1, hasOptions = false } = {}) {
  const accepted = new Map(hasOptions ? [['blksize', String(blockBytes)]] : [])
  const agreement = { blockBytes, windowBlocks, timeoutMs: TIMEOUT_MS, accepted }
  return advance(createTransfer(agreement, sizeBytes), { kind: 'start' })
}

function next(step: TransferStep): Transfer {
  assert.notEqual(step.kind, 'end')
  return step.kind === 'end' ? assert.fail() : step.next
}

function blocks(step: TransferStep): number[] {
  if (step.kind !== 'send-blocks') return []
  return Array.from({ length: step.end - step.start }, (_, i) => step.start + i)
}

describe('a TFTP transfer', () => {
  it('without options starts with data, with options waits for ACK 0', () => {
    assert.deepEqual(blocks(start(20)), [1])
    const options = start(20, { hasOptions: true })
    assert.equal(options.kind, 'send-options')
    assert.equal(advance(next(options), ack(1)).kind, 'wait')
    assert.deepEqual(blocks(advance(next(options), ack(0))), [1])
  })

  it('ends with an empty block if the size is a multiple of that of a block', () => {
    assert.equal(next(start(16)).lastBlock, 3)
    assert.equal(next(start(15)).lastBlock, 2)
    assert.equal(next(start(0)).lastBlock, 1)
  })

  it('sends nothing for a second copy of an ACK (RFC 1123)', () => {
    const second = advance(next(start(100)), ack(1))
    assert.deepEqual(blocks(second), [2])
    assert.deepEqual(advance(next(second), ack(1)), { kind: 'wait', next: next(second) })
    assert.equal(advance(next(second), ack(0)).kind, 'wait')
  })

  it('goes back to the block after the last that arrived (RFC 7440)', () => {
    const first = start(100, { windowBlocks: 4 })
    assert.deepEqual(blocks(first), [1, 2, 3, 4])
    const gap = advance(next(first), ack(2))
    assert.deepEqual(blocks(gap), [3, 4, 5, 6])
    assert.equal(advance(next(gap), ack(1)).kind, 'wait', 'an ACK from before')
    assert.equal(advance(next(gap), ack(7)).kind, 'wait', 'an ACK for what was never sent')
  })

  it('sends a window again sooner, but once, when its ACK is repeated', () => {
    const first = advance(next(start(100, { windowBlocks: 4 })), ack(4))
    const repeated = advance(next(first), ack(4))
    assert.ok(repeated.kind === 'wait' && repeated.waitMs! < TIMEOUT_MS)
    const again = advance(next(repeated), { kind: 'timeout' })
    assert.deepEqual(blocks(again), [5, 6, 7, 8])
    assert.deepEqual(advance(next(again), ack(4)), { kind: 'wait', next: next(again) })
  })

  it('waits longer each time, then gives up', () => {
    const waits: unknown[] = []
    let step = start(100)
    while (step.kind !== 'end') {
      waits.push(step.waitMs)
      step = advance(step.next, { kind: 'timeout' })
    }
    assert.deepEqual(waits, [1000, 2000, 4000, 8000, 10_000, 10_000])
    assert.deepEqual(step.outcome, { kind: 'silent', acknowledgedBlocks: 0 })
  })

  it('counts on over 65,535 blocks while the number on the wire begins again at 0', () => {
    const size = 70_000 * 8
    let step = start(size, { windowBlocks: 64 })
    let sent = 0
    while (step.kind === 'send-blocks') {
      sent = step.end - 1
      step = advance(step.next, ack(wireBlock(sent)))
    }
    assert.equal(sent, 70_001)
    assert.deepEqual(step, { kind: 'end', outcome: { kind: 'delivered' } })
    assert.equal(wireBlock(65_535), 65_535)
    assert.equal(wireBlock(65_536), 0)
  })

  it('ends when the client says so or is gone', () => {
    const error = { kind: 'error', code: 8, message: 'enough' } as const
    assert.deepEqual(advance(next(start(9)), { kind: 'packet', packet: error }), {
      kind: 'end',
      outcome: { kind: 'aborted', code: 8, message: 'enough', acknowledgedBlocks: 0 },
    })
    assert.equal(advance(next(start(9)), { kind: 'unreachable' }).kind, 'end')
  })

  it('gives way to another request from its port, and to the same one if it is stuck', () => {
    const running = next(advance(next(start(100, { hasOptions: true })), ack(0)))
    assert.equal(supersedes(running, { isSameRequest: false }), true)
    assert.equal(supersedes(running, { isSameRequest: true }), false)
    const stuck = next(advance(running, { kind: 'timeout' }))
    assert.equal(supersedes(stuck, { isSameRequest: true }), true)
    const starting = next(advance(next(start(9, { hasOptions: true })), { kind: 'timeout' }))
    assert.equal(supersedes(starting, { isSameRequest: true }), false)
  })

  it('never sends outside the file or more than a window, whatever comes', () => {
    const event = fc.oneof(
      fc.integer({ min: 0, max: 40 }).map((block) => ack(block)),
      fc.constant({ kind: 'timeout' } as const),
    )
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 300 }),
        fc.integer({ min: 1, max: 64 }),
        fc.array(event, { maxLength: 60 }),
        (size, windowBlocks, events) => {
          let step = start(size, { windowBlocks })
          let acknowledged = 0
          for (const one of events) {
            if (step.kind === 'end') return
            if (step.kind === 'send-blocks') {
              assert.ok(step.end - step.start <= windowBlocks)
              assert.ok(step.start === step.next.acknowledged + 1)
              assert.ok(step.end <= Math.floor(size / 8) + 2)
            }
            assert.ok(step.next.acknowledged >= acknowledged)
            acknowledged = step.next.acknowledged
            step = advance(step.next, one)
          }
        },
      ),
    )
  })
})

describe('what is agreed with a client', () => {
  const agree = (options: Record<string, string>, mtuBytes = 1500) =>
    negotiate(new Map(Object.entries(options)), { sizeBytes: 1000, mtuBytes })

  it('fits the interface and the receive buffer', () => {
    assert.equal(agree({ blksize: '65464' }).blockBytes, 1468)
    assert.equal(agree({ blksize: '65464' }, 65_536).blockBytes, 65_464)
    assert.equal(agree({ windowsize: '65535' }).windowBlocks, 64)
    assert.equal(agree({ blksize: '32768', windowsize: '64' }, 65_536).windowBlocks, 4)
    assert.equal(agree({ timeout: '255' }).timeoutMs, 10_000)
  })

  it('is said in the OACK, and only what was asked for', () => {
    assert.deepEqual(agree({}).accepted, new Map())
    assert.deepEqual(
      [...agree({ tsize: '0', blksize: '1456', timeout: '3', windowsize: '4' }).accepted],
      [
        ['tsize', '1000'],
        ['blksize', '1456'],
        ['timeout', '3'],
        ['windowsize', '4'],
      ],
    )
  })

  it('leaves out options that are unknown or make no sense', () => {
    const nonsense = { blksize: '7', windowsize: '0', timeout: '256', multicast: '', tsiz: '0' }
    const { accepted, ...rest } = agree(nonsense)
    assert.equal(accepted.size, 0)
    assert.deepEqual(rest, { blockBytes: 512, windowBlocks: 1, timeoutMs: 1000 })
    assert.equal(agree({ blksize: '-8' }).accepted.size, 0)
    assert.equal(agree({ blksize: '1e3' }).accepted.size, 0)
  })
})
