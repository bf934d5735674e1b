import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Value } from 'typebox/value'
import { signatureFault, SignedReceiptSchema, type SignedReceipt } from '#protocol/run/receipt.ts'
import { CliError, EXIT, UsageError } from '../errors.ts'
import { unreadable } from '../local-file.ts'
import { printable } from '../text/text.ts'

/** A receipt is a page; a key is a line. */
const MAX_FILE_BYTES = 1024 * 1024

/** The public key that receipts are held against, and its name. */
export interface TrustedKey {
  id: string
  key: KeyObject
}

/** A key as `GET /api/receipt-key` answers it, or PEM. Throws TypeError for anything else. */
export function parseKey(text: string): TrustedKey {
  const key = text.trimStart().startsWith('{')
    ? createPublicKey({ key: JSON.parse(text), format: 'jwk' })
    : createPublicKey(text)
  const { kty, crv, x } = key.export({ format: 'jwk' })
  if (kty !== 'OKP' || crv !== 'Ed25519') throw new TypeError('The key is none of Ed25519')
  // RFC 7638 and RFC 8037, appendix A.3.
  const id = createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url')
  return { id, key }
}

export async function readKeyFile(path: string): Promise<TrustedKey> {
  const text = await readSmallFile(path)
  try {
    return parseKey(text)
  } catch (cause) {
    throw new UsageError(
      `"${path}" holds no public key of a server (${String(cause)}); ` +
        'save what http://SERVER/api/receipt-key answers',
    )
  }
}

export async function readReceiptFile(path: string): Promise<SignedReceipt> {
  const text = await readSmallFile(path)
  const document = parseJson(text)
  if (!Value.Check(SignedReceiptSchema, document))
    throw new UsageError(
      `"${path}" is no receipt as "stampede runs receipt RUN --output FILE" saves it`,
    )
  return document
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function readSmallFile(path: string): Promise<string> {
  const bytes = await readFile(path).catch((err: unknown) => {
    throw unreadable(path, err)
  })
  if (bytes.length > MAX_FILE_BYTES)
    throw new UsageError(`"${path}" has ${bytes.length} bytes, too many for a receipt or a key`)
  return bytes.toString('utf8')
}

/** Throws CliError if the receipt is not, byte for byte, what the key's owner signed. */
export function checkSignature(document: SignedReceipt, trusted: TrustedKey): void {
  const { signature, run } = document
  const fault = signatureFault(document, trusted.id, (bytes, value) =>
    verify(null, bytes, trusted.key, Buffer.from(value, 'base64url')),
  )
  if (!fault) return
  const messages = {
    unsigned: `The receipt of run ${printable(run.id)} is not signed: the run ended before its server signed receipts`,
    'other-key': `The receipt is signed with key ${printable(signature?.keyId ?? '')}, not with ${trusted.id}; it may be of another server`,
    changed: `The receipt of run ${printable(run.id)} was changed after it was signed: its signature does not fit`,
  }
  throw new CliError(EXIT.failed, messages[fault])
}
