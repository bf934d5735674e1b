import { MAX_BLOCK_BYTES, type TftpOptions } from '#protocol/tftp.ts'

/** IPv4, UDP and TFTP headers: a larger block would be fragmented, which many PXE ROMs cannot take. */
const HEADER_BYTES = 20 + 8 + 4

const DEFAULT_BLOCK_BYTES = 512 // RFC 1350
const MIN_BLOCK_BYTES = 8 // RFC 2348
const MAX_WINDOW_BLOCKS = 64
/** A window arrives in one burst and must fit the receive buffer of an ordinary socket. */
const MAX_WINDOW_BYTES = 128 * 1024
const DEFAULT_TIMEOUT_MS = 1000
/** RFC 2349 allows 255 s; a lost block should not hold a machine up, or a place here, for so long. */
const MAX_TIMEOUT_MS = 10_000

export type Agreement = {
  blockBytes: number
  windowBlocks: number
  timeoutMs: number
  /** What the OACK says: only options that were asked for. Empty: send no OACK (RFC 2347). */
  accepted: TftpOptions
}

/** What we have. `timeoutMs` is for clients that ask for none. */
export type Offer = { sizeBytes: number; mtuBytes: number; timeoutMs?: number }

/**
 * What we agree to of what a client asks. An option with a value that makes no sense is left out, as
 * RFC 2347 wants for unknown ones: the client then goes on without it.
 */
export function negotiate(
  asked: TftpOptions,
  { sizeBytes, mtuBytes, timeoutMs = DEFAULT_TIMEOUT_MS }: Offer,
): Agreement {
  const maxBlockBytes = Math.max(MIN_BLOCK_BYTES, mtuBytes - HEADER_BYTES)
  const blksize = number(asked.get('blksize'), MIN_BLOCK_BYTES, MAX_BLOCK_BYTES)
  const blockBytes = blksize === undefined ? DEFAULT_BLOCK_BYTES : Math.min(blksize, maxBlockBytes)

  const windowsize = number(asked.get('windowsize'), 1, 0xffff) // RFC 7440
  const windowBlocks = Math.min(windowsize ?? 1, maxWindowBlocks(blockBytes))

  const timeoutSeconds = number(asked.get('timeout'), 1, 255) // RFC 2349
  const answers = new Map([
    ['blksize', blksize === undefined ? undefined : blockBytes],
    ['tsize', sizeBytes], // whatever the client wrote: a few do not send 0
    ['timeout', timeoutSeconds],
    ['windowsize', windowsize === undefined ? undefined : windowBlocks],
  ])
  const accepted = new Map<string, string>()
  for (const name of asked.keys()) {
    const answer = answers.get(name)
    if (answer !== undefined) accepted.set(name, String(answer))
  }
  const wantedTimeoutMs = timeoutSeconds === undefined ? timeoutMs : timeoutSeconds * 1000
  return {
    blockBytes,
    windowBlocks,
    timeoutMs: Math.min(wantedTimeoutMs, MAX_TIMEOUT_MS),
    accepted,
  }
}

function maxWindowBlocks(blockBytes: number): number {
  return Math.max(1, Math.min(MAX_WINDOW_BLOCKS, Math.floor(MAX_WINDOW_BYTES / blockBytes)))
}

function number(text: string | undefined, min: number, max: number): number | undefined {
  if (text === undefined || !/^\d{1,16}$/.test(text)) return undefined
  const value = Number(text)
  return value >= min && value <= max ? value : undefined
}
