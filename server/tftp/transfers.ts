import type { Socket } from 'node:dgram'
import type { Logger } from 'pino'
import { TFTP_ERROR, type TftpRequest } from '#protocol/tftp.ts'
import { negotiate } from './negotiate.ts'
import { type Peer, type Sending, openTransferSocket, startSending } from './send-file.ts'
import { type TransferOutcome, createTransfer, supersedes } from './transfer.ts'
import {
  NetasciiTooLargeError,
  type VirtualFiles,
  openContent,
  virtualName,
} from './virtual-file.ts'

export type TftpLog = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>

export type TransfersOptions = {
  /** Where transfers are sent from. */
  address: string
  mtuBytes: number
  /** How long to wait for an ACK at first, unless the client asks for another time. */
  timeoutMs?: number
  files: () => VirtualFiles | Promise<VirtualFiles>
  log: TftpLog
  /** Answers with an ERROR packet. */
  refuse: (peer: Peer, code: number, message: string) => void
  /** Told of each read request, found or not. */
  onSeen?: (seen: { address: string; fileName: string; found: boolean }) => void
  maxTransfers: number
  maxTransfersPerClient: number
}

/** The transfers under way. */
export type Transfers = {
  start(request: TftpRequest, requestText: string, peer: Peer): void
  stopAll(): Promise<void>
}

/** One of them, from its request on: at first it has no socket yet. */
type Active = {
  readonly peer: Peer
  readonly requestText: string
  sending?: Sending
  isStopped: boolean
  done: Promise<void>
}

export function createTransfers(options: TransfersOptions): Transfers {
  const active = new Set<Active>()
  const { log } = options
  let isFull = false

  function start(request: TftpRequest, requestText: string, peer: Peer): void {
    const old = [...active].find((one) => !one.isStopped && isSamePeer(one.peer, peer))
    if (old && !isSuperseded(old, requestText)) {
      log.debug({ peer, file: request.fileName }, 'Ignoring a repeated TFTP request')
      return
    }
    if (old) stop(old)
    if (!hasRoom(active, peer, options)) {
      // Dropped, not refused: after an ERROR a PXE ROM gives up, after silence it asks again.
      const level = isFull ? 'debug' : 'warn' // once, not for each packet of a flood
      log[level]({ peer, transfers: active.size }, 'Too many TFTP transfers, dropping requests')
      isFull = true
      return
    }
    isFull = false
    const one: Active = { peer, requestText, isStopped: false, done: Promise.resolve() }
    active.add(one)
    one.done = serve(one, request, options)
      .catch((err: unknown) => log.error({ err, peer, file: request.fileName }, 'TFTP failed'))
      .finally(() => active.delete(one))
  }

  async function stopAll(): Promise<void> {
    const ending = [...active]
    for (const one of ending) stop(one)
    await Promise.all(ending.map((one) => one.done))
  }

  return { start, stopAll }
}

function hasRoom(active: Set<Active>, peer: Peer, limits: TransfersOptions): boolean {
  const ofClient = [...active].filter((one) => one.peer.address === peer.address)
  return active.size < limits.maxTransfers && ofClient.length < limits.maxTransfersPerClient
}

function isSamePeer(one: Peer, other: Peer): boolean {
  return one.port === other.port && one.address === other.address
}

function isSuperseded(old: Active, requestText: string): boolean {
  const isSameRequest = old.requestText === requestText
  return old.sending ? supersedes(old.sending.transfer, { isSameRequest }) : !isSameRequest
}

function stop(one: Active): void {
  one.isStopped = true
  one.sending?.stop()
}

/** Finds the file, agrees on the options and sends it; resolves when that is over. */
async function serve(one: Active, request: TftpRequest, options: TransfersOptions): Promise<void> {
  const { peer } = one
  const { log, refuse } = options
  const { mode } = request
  if (mode !== 'octet' && mode !== 'netascii') {
    refuse(peer, TFTP_ERROR.illegalOperation, `Mode "${mode}" is not supported; use octet`)
    return
  }
  const fileName = virtualName(request.fileName)
  const file = (await options.files()).get(fileName)
  options.onSeen?.({ address: peer.address, fileName, found: file !== undefined })
  if (!file) {
    log.info({ peer, file: request.fileName }, 'TFTP client asked for a file that is not served')
    refuse(peer, TFTP_ERROR.fileNotFound, `File not found: "${request.fileName}"`)
    return
  }

  await using opened = new AsyncDisposableStack()
  const content = await openContent(file, mode).catch((err: unknown) => {
    const isTooLarge = err instanceof NetasciiTooLargeError
    refuse(peer, TFTP_ERROR.notDefined, isTooLarge ? err.message : 'The file cannot be read')
    if (!isTooLarge) throw err
  })
  if (!content) return
  opened.use(content)
  const { sizeBytes } = content
  const agreement = negotiate(request.options, { ...options, sizeBytes })
  const socket: Socket = await openTransferSocket(options.address, peer)
  opened.defer(() => void socket.close())
  if (one.isStopped) return

  const startedAt = performance.now()
  one.sending = startSending(socket, createTransfer(agreement, sizeBytes), content)
  const outcome = await one.sending.outcome
  const { blockBytes, windowBlocks } = agreement
  const milliseconds = Math.round(performance.now() - startedAt)
  const fields = { peer, file: fileName, sizeBytes, blockBytes, windowBlocks, milliseconds }
  logOutcome(log, outcome, fields)
}

function logOutcome(log: TftpLog, outcome: TransferOutcome | undefined, fields: object): void {
  if (!outcome) return log.debug(fields, 'TFTP transfer stopped')
  switch (outcome.kind) {
    case 'delivered':
      return log.info(fields, 'Sent a file by TFTP')
    case 'aborted':
      // Many PXE ROMs only want the size at first, and end that with an ERROR.
      if (outcome.acknowledgedBlocks === 0) {
        return log.debug({ ...fields, outcome }, 'TFTP client asked for the size only')
      }
      return log.warn({ ...fields, outcome }, 'TFTP client aborted a transfer')
    case 'silent':
    case 'unreachable':
      return log.warn({ ...fields, outcome }, 'TFTP client stopped answering')
  }
}
