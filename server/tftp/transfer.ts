import type { TftpPacket } from '#protocol/tftp.ts'
import type { Agreement } from './negotiate.ts'

/** Transmissions of the same thing without an answer before the client counts as gone. */
const MAX_SILENCES = 6
const MAX_WAIT_MS = 10_000
/** How soon a window is sent again when the client repeats its ACK. See `onRepeatedAck`. */
const REPEATED_ACK_WAIT_MS = 100

/** One file on its way to one client. Blocks are counted from 1 and do not wrap here. */
export type Transfer = {
  readonly agreement: Agreement
  readonly lastBlock: number
  readonly phase: 'options' | 'data'
  /** This block and all before it have arrived. */
  readonly acknowledged: number
  /** The highest block sent since. */
  readonly sent: number
  /** Time-outs since the last progress. */
  readonly silences: number
  /** Whether a repeated ACK has shortened the wait for this window: the wait runs, or it is over. */
  readonly hastened: 'no' | 'waiting' | 'over'
}

export type TransferEvent =
  | { kind: 'start' }
  | { kind: 'packet'; packet: TftpPacket }
  | { kind: 'timeout' }
  /** ICMP says that nobody listens on the client's port any more. */
  | { kind: 'unreachable' }

/** What to do now. Without `waitMs` the running timer goes on. */
export type TransferStep =
  | { kind: 'send-options'; next: Transfer; waitMs: number }
  /** Blocks `[start, end)`. */
  | { kind: 'send-blocks'; next: Transfer; waitMs: number; start: number; end: number }
  | { kind: 'wait'; next: Transfer; waitMs?: number }
  | { kind: 'end'; outcome: TransferOutcome }

export type TransferOutcome =
  | { kind: 'delivered' }
  /** The client answered no more, or closed its port. */
  | { kind: 'silent' | 'unreachable'; acknowledgedBlocks: number }
  /** The client sent an ERROR. Some ROMs do so once they know the size (`tsize`): not a fault. */
  | { kind: 'aborted'; code: number; message: string; acknowledgedBlocks: number }

export function createTransfer(agreement: Agreement, sizeBytes: number): Transfer {
  return {
    agreement,
    // RFC 1350: a block shorter than the others ends the file, so one of 0 bytes may be needed.
    lastBlock: Math.floor(sizeBytes / agreement.blockBytes) + 1,
    phase: agreement.accepted.size > 0 ? 'options' : 'data',
    acknowledged: 0,
    sent: 0,
    silences: 0,
    hastened: 'no',
  }
}

/** The whole protocol of one read: an event comes in, what to send and how long to wait go out. */
export function advance(transfer: Transfer, event: TransferEvent): TransferStep {
  switch (event.kind) {
    case 'start':
      return send(transfer)
    case 'timeout':
      return onTimeout(transfer)
    case 'packet':
      return onPacket(transfer, event.packet)
    case 'unreachable':
      return {
        kind: 'end',
        outcome: { kind: 'unreachable', acknowledgedBlocks: transfer.acknowledged },
      }
  }
}

/**
 * Whether a request that comes from the client port of a running transfer starts a new one. A copy
 * made by the network or sent again by an impatient client must not; but some ROMs use the same port
 * for every file, and a machine that was switched off and on may use it again.
 */
export function supersedes(transfer: Transfer, { isSameRequest }: { isSameRequest: boolean }) {
  if (!isSameRequest) return true
  return transfer.phase === 'data' && transfer.silences > 0
}

/** The 16 bits that go on the wire. After 65,535 comes 0, as atftp, tftp-hpa and iPXE expect. */
export function wireBlock(block: number): number {
  return block & 0xffff
}

function onPacket(transfer: Transfer, packet: TftpPacket): TransferStep {
  switch (packet.kind) {
    case 'ack':
      return transfer.phase === 'options'
        ? onOptionsAck(transfer, packet.block)
        : onDataAck(transfer, packet.block)
    case 'error': {
      const { code, message } = packet
      const acknowledgedBlocks = transfer.acknowledged
      return { kind: 'end', outcome: { kind: 'aborted', code, message, acknowledgedBlocks } }
    }
    case 'rrq':
    case 'wrq':
    case 'data':
    case 'oack':
      return { kind: 'wait', next: transfer } // no business of a reading client
  }
}

/** RFC 2347: the client confirms the OACK with an ACK of block 0. */
function onOptionsAck(transfer: Transfer, block: number): TransferStep {
  if (block !== 0) return { kind: 'wait', next: transfer }
  return send({ ...transfer, phase: 'data', silences: 0 })
}

function onDataAck(transfer: Transfer, block: number): TransferStep {
  // The window is far smaller than 65,536, so the 16 bits tell which block is meant.
  const progress = wireBlock(block - transfer.acknowledged)
  if (progress === 0) return onRepeatedAck(transfer)
  if (progress > transfer.sent - transfer.acknowledged) return { kind: 'wait', next: transfer }

  const acknowledged = transfer.acknowledged + progress
  if (acknowledged === transfer.lastBlock) return { kind: 'end', outcome: { kind: 'delivered' } }
  // Less than the window: the client saw a gap (RFC 7440 section 4), so go back to it.
  return send({ ...transfer, acknowledged, silences: 0, hastened: 'no' })
}

/**
 * Answering each copy of an ACK with data doubles all traffic for ever (the "Sorcerer's Apprentice
 * Syndrome", RFC 1123 section 4.2.3.1), so with a window of one block it is ignored. In a larger
 * window it may also say that the first block was lost. Then the window goes out again a little
 * sooner, once, and only if the client stays silent until then.
 */
function onRepeatedAck(transfer: Transfer): TransferStep {
  if (transfer.agreement.windowBlocks === 1 || transfer.hastened !== 'no') {
    return { kind: 'wait', next: transfer }
  }
  const next = { ...transfer, hastened: 'waiting' as const }
  return { kind: 'wait', next, waitMs: REPEATED_ACK_WAIT_MS }
}

function onTimeout(transfer: Transfer): TransferStep {
  if (transfer.hastened === 'waiting') return send({ ...transfer, hastened: 'over' })
  const silences = transfer.silences + 1
  if (silences >= MAX_SILENCES) {
    const acknowledgedBlocks = transfer.acknowledged
    return { kind: 'end', outcome: { kind: 'silent', acknowledgedBlocks } }
  }
  return send({ ...transfer, silences })
}

/** The OACK or the window after the last acknowledged block, again or for the first time. */
function send(transfer: Transfer): TransferStep {
  const { timeoutMs, windowBlocks } = transfer.agreement
  const waitMs = Math.min(timeoutMs * 2 ** transfer.silences, MAX_WAIT_MS)
  if (transfer.phase === 'options') return { kind: 'send-options', next: transfer, waitMs }

  const start = transfer.acknowledged + 1
  const end = Math.min(start + windowBlocks, transfer.lastBlock + 1)
  return { kind: 'send-blocks', next: { ...transfer, sent: end - 1 }, waitMs, start, end }
}
