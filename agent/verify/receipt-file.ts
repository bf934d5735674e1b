import { createPublicKey, verify } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Value } from 'typebox/value'
import {
  ReceiptKeySchema,
  type ReceiptKey,
  signatureFault,
  SignedReceiptSchema,
  type SignedReceipt,
} from '#protocol/run/receipt.ts'
import { parseSha256, type Sha256 } from '#protocol/sha256.ts'
import type { HttpClient } from '../client/http.ts'

/** A receipt is a page. */
const MAX_RECEIPT_BYTES = 1024 * 1024
const KEY_PATH = '/api/receipt-key'

export interface NamedImage {
  digest: Sha256
  /** Of the disk that the receipt is about. */
  serial?: string
  /** It was cut for a smaller disk, and is this there. */
  cut?: { diskBytes: number; digest: Sha256 }
}

/**
 * The image that a receipt names: one as the server signs it, whose signature is held against the
 * server's key, or as a run shows it, for which nobody vouches.
 */
export async function readReceipt(
  path: string,
  http: HttpClient,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<NamedImage> {
  const parsed = await readJson(path)
  if (Value.Check(SignedReceiptSchema, parsed) && parsed.signature)
    checkSignature(path, parsed, await getKey(http, signal))
  else say(`The receipt in "${path}" is not signed as a server signs it: nobody vouches for it`)
  return namedImage(path, parsed)
}

async function readJson(path: string): Promise<unknown> {
  const bytes = await readFile(path).catch((cause: NodeJS.ErrnoException) => {
    throw new Error(`The receipt "${path}" cannot be read: ${cause.message}`, { cause })
  })
  if (bytes.length > MAX_RECEIPT_BYTES)
    throw new Error(`"${path}" has ${bytes.length} bytes, too many for a receipt`)
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    throw noReceipt(path, 'it is no JSON')
  }
}

async function getKey(http: HttpClient, signal: AbortSignal): Promise<ReceiptKey> {
  const { body } = await http.send({ method: 'GET', path: KEY_PATH, signal })
  const key: unknown = JSON.parse(body.toString())
  if (!Value.Check(ReceiptKeySchema, key))
    throw new TypeError(`The server's answer to ${KEY_PATH} is not understood`)
  return key
}

function checkSignature(path: string, receipt: SignedReceipt, key: ReceiptKey): void {
  const { kid, kty, crv, x } = key
  const publicKey = createPublicKey({ key: { kty, crv, x }, format: 'jwk' })
  const fault = signatureFault(receipt, kid, (bytes, value) =>
    verify(null, bytes, publicKey, Buffer.from(value, 'base64url')),
  )
  if (!fault) return
  const instead = 'to compare the disk all the same, name an image with --image'
  const messages = {
    unsigned: `The receipt in "${path}" is not signed; ${instead}`,
    'other-key':
      `The receipt in "${path}" is signed with key ${receipt.signature?.keyId}, and this server's is ${kid}; ` +
      `ask the server that signed it, or ${instead}`,
    changed: `The receipt in "${path}" was changed after it was signed: its signature does not fit; ${instead}`,
  }
  throw new Error(messages[fault])
}

function namedImage(path: string, parsed: unknown): NamedImage {
  const receipt = field(parsed, 'receipt') ?? parsed
  const serial = field(field(receipt, 'disk'), 'serial')
  const shrunk = field(receipt, 'shrunk')
  const digestOf = (value: unknown, what: string): Sha256 => {
    try {
      return parseSha256(value as string)
    } catch {
      throw noReceipt(path, `${what} is ${JSON.stringify(value) ?? 'missing'}, no SHA-256`)
    }
  }
  return {
    digest: digestOf(field(receipt, 'imageDigest'), 'imageDigest, the image that was deployed,'),
    ...(typeof serial === 'string' && { serial }),
    ...(shrunk !== undefined && {
      cut: {
        diskBytes: Number(field(shrunk, 'diskBytes')),
        digest: digestOf(field(shrunk, 'writtenDigest'), 'writtenDigest'),
      },
    }),
  }
}

function noReceipt(path: string, why: string): Error {
  return new Error(
    `"${path}" is no receipt of a deployment: ${why}; ` +
      '"stampede runs receipt RUN --output FILE" saves one',
  )
}

function field(from: unknown, name: string): unknown {
  return (from as Record<string, unknown> | null | undefined)?.[name]
}
