import { open } from 'node:fs/promises'

/** A file that we serve: its content, or where that is on our disk. The client only ever names it. */
export type VirtualFile = { bytes: Uint8Array } | { path: string }

/** By the name that clients ask for, without a leading slash. */
export type VirtualFiles = ReadonlyMap<string, VirtualFile>

/** The content of one file while it is being sent. */
export type FileContent = AsyncDisposable & {
  readonly sizeBytes: number
  /** Bytes `[start, end)`; throws if the file has become shorter. */
  read(start: number, end: number): Promise<Uint8Array>
}

/**
 * Some clients (tftp-hpa) ask for netascii unless told otherwise. It is converted whole, in memory, so
 * that its size is known and blocks can be sent again: enough for boot programs, not for images.
 */
const MAX_NETASCII_BYTES = 2 * 1024 * 1024

const CR = 0x0d
const LF = 0x0a
const NUL = 0x00

export class NetasciiTooLargeError extends Error {
  override name = 'NetasciiTooLargeError'
}

/**
 * Firmware writes `/undionly.kpxe`, `\undionly.kpxe`, `./undionly.kpxe` or `//undionly.kpxe`. Some that gets the
 * name from a DHCP server by option 67 takes it for a C string, and the END of the options, 255, for a part of it.
 */
export function virtualName(requested: string): string {
  return requested
    .replace(/\xff+$/, '')
    .replaceAll('\\', '/')
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/')
}

/** Throws NetasciiTooLargeError, or the error of the file system. */
export async function openContent(
  file: VirtualFile,
  mode: 'octet' | 'netascii',
): Promise<FileContent> {
  const content = 'bytes' in file ? bytesContent(file.bytes) : await openFile(file.path)
  if (mode === 'octet') return content

  await using original = content
  if (original.sizeBytes > MAX_NETASCII_BYTES) {
    throw new NetasciiTooLargeError(
      `The file has ${original.sizeBytes} bytes; ask for it in mode octet (binary)`,
    )
  }
  return bytesContent(toNetascii(await original.read(0, original.sizeBytes)))
}

/** RFC 764: a line ends in CR LF, and a CR alone is CR NUL. */
export function toNetascii(bytes: Uint8Array): Uint8Array {
  const converted = new Uint8Array(bytes.length * 2)
  let length = 0
  for (const byte of bytes) {
    if (byte === LF) converted[length++] = CR
    converted[length++] = byte
    if (byte === CR) converted[length++] = NUL
  }
  return converted.subarray(0, length)
}

function bytesContent(bytes: Uint8Array): FileContent {
  return {
    sizeBytes: bytes.length,
    read: async (start, end) => bytes.subarray(start, end),
    [Symbol.asyncDispose]: async () => {},
  }
}

async function openFile(path: string): Promise<FileContent> {
  await using opened = new AsyncDisposableStack()
  const handle = opened.use(await open(path))
  const { size: sizeBytes } = await handle.stat()
  const resources = opened.move()
  return {
    sizeBytes,
    async read(start, end) {
      const buffer = new Uint8Array(end - start)
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, start)
      if (bytesRead < buffer.length) throw new Error(`"${path}" became shorter while it was sent`)
      return buffer
    },
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  }
}
