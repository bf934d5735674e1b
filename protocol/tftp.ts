/** Options of a request or of an OACK (RFC 2347), names in lower case, in the order sent. */
export type TftpOptions = ReadonlyMap<string, string>

export type TftpRequest = {
  kind: 'rrq' | 'wrq'
  fileName: string
  /** In lower case: `octet`, `netascii` or what else the client wrote. */
  mode: string
  options: TftpOptions
}

export type TftpPacket =
  | TftpRequest
  | { kind: 'data'; block: number; data: Uint8Array }
  | { kind: 'ack'; block: number }
  | { kind: 'error'; code: number; message: string }
  | { kind: 'oack'; options: TftpOptions }

/** RFC 1350 appendix, and RFC 2347 for the last. */
export const TFTP_ERROR = {
  notDefined: 0,
  fileNotFound: 1,
  accessViolation: 2,
  illegalOperation: 4,
  unknownTransfer: 5,
  optionRefused: 8,
} as const

/** RFC 2347: "The maximum size of a request packet is 512 octets". */
export const MAX_REQUEST_BYTES = 512

/** The largest block that RFC 2348 allows. */
export const MAX_BLOCK_BYTES = 65_464

const OPCODE = { rrq: 1, wrq: 2, data: 3, ack: 4, error: 5, oack: 6 } as const

export class TftpDecodeError extends Error {
  override name = 'TftpDecodeError'
}

/** Throws TftpDecodeError for anything that is not one whole, well-formed packet. */
export function decodeTftp(bytes: Uint8Array): TftpPacket {
  const opcode = readUint16(bytes, 0)
  switch (opcode) {
    case OPCODE.rrq:
      return decodeRequest('rrq', bytes)
    case OPCODE.wrq:
      return decodeRequest('wrq', bytes)
    case OPCODE.data:
      return decodeData(bytes)
    case OPCODE.ack:
      // Some PXE ROMs pad their ACKs, so what follows the block number is not looked at.
      return { kind: 'ack', block: readUint16(bytes, 2) }
    case OPCODE.error:
      return { kind: 'error', code: readUint16(bytes, 2), message: decodeErrorMessage(bytes) }
    case OPCODE.oack:
      return { kind: 'oack', options: toOptions(readStrings(bytes)) }
    default:
      throw new TftpDecodeError(`Unknown TFTP opcode ${opcode}`)
  }
}

/** Throws RangeError or TypeError for a value that no packet can carry. */
export function encodeTftp(packet: TftpPacket): Uint8Array {
  switch (packet.kind) {
    case 'rrq':
    case 'wrq':
      return encode(
        OPCODE[packet.kind],
        strings([packet.fileName, packet.mode, ...[...packet.options].flat()]),
      )
    case 'oack':
      return encode(OPCODE.oack, strings([...packet.options].flat()))
    case 'data':
      return encode(OPCODE.data, [uint16(packet.block), packet.data])
    case 'ack':
      return encode(OPCODE.ack, [uint16(packet.block)])
    case 'error':
      return encode(OPCODE.error, [uint16(packet.code), ...strings([packet.message])])
  }
}

function decodeRequest(kind: 'rrq' | 'wrq', bytes: Uint8Array): TftpRequest {
  if (bytes.length > MAX_REQUEST_BYTES) {
    throw new TftpDecodeError(
      `A TFTP request has ${bytes.length} bytes, more than the ${MAX_REQUEST_BYTES} allowed`,
    )
  }
  const [fileName, mode, ...options] = readStrings(bytes)
  if (!fileName || !mode) throw new TftpDecodeError('A TFTP request lacks its file name or mode')
  return { kind, fileName, mode: mode.toLowerCase(), options: toOptions(options) }
}

function decodeData(bytes: Uint8Array): TftpPacket {
  const block = readUint16(bytes, 2)
  const data = bytes.subarray(4)
  if (data.length > MAX_BLOCK_BYTES) {
    throw new TftpDecodeError(`A TFTP block has ${data.length} bytes`)
  }
  return { kind: 'data', block, data }
}

/** Not every client ends its message with a NUL, and what it says is only ever logged. */
function decodeErrorMessage(bytes: Uint8Array): string {
  const end = bytes.indexOf(0, 4)
  return latin1(bytes.subarray(4, end === -1 ? bytes.length : end))
}

/** The NUL-terminated strings after the opcode. */
function readStrings(bytes: Uint8Array): string[] {
  const found: string[] = []
  for (let start = 2; start < bytes.length;) {
    const end = bytes.indexOf(0, start)
    if (end === -1) {
      throw new TftpDecodeError(`A TFTP string at byte ${start} lacks its terminating NUL`)
    }
    found.push(latin1(bytes.subarray(start, end)))
    start = end + 1
  }
  return found
}

/**
 * Of an option sent twice, which RFC 2347 forbids, the first counts. A name without a value ends the
 * list: some ROMs pad their requests with NULs.
 */
function toOptions(texts: string[]): TftpOptions {
  const options = new Map<string, string>()
  for (let i = 0; i + 1 < texts.length; i += 2) {
    const name = texts[i]!.toLowerCase()
    if (name === '') break
    if (!options.has(name)) options.set(name, texts[i + 1]!)
  }
  return options
}

function encode(opcode: number, parts: Uint8Array[]): Uint8Array {
  const all = [uint16(opcode), ...parts]
  const bytes = new Uint8Array(all.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of all) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes
}

function strings(texts: string[]): Uint8Array[] {
  return texts.map((text) => Uint8Array.from([...Array.from(text, octet), 0]))
}

/** File names are bytes to us, whatever their encoding: latin1 keeps each one as it is. */
function octet(character: string): number {
  const code = character.codePointAt(0)!
  if (code === 0 || code > 0xff) {
    throw new TypeError(`A TFTP string cannot hold the character ${JSON.stringify(character)}`)
  }
  return code
}

function latin1(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('')
}

function readUint16(bytes: Uint8Array, offset: number): number {
  const high = bytes[offset]
  const low = bytes[offset + 1]
  if (high === undefined || low === undefined) {
    throw new TftpDecodeError(`A TFTP packet ends after ${bytes.length} bytes`)
  }
  return (high << 8) | low
}

function uint16(value: number): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value > 0xffff) {
    throw new RangeError(`${value} does not fit a 16-bit field of a TFTP packet`)
  }
  return Uint8Array.of(value >> 8, value & 0xff)
}
