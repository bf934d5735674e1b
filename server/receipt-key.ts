import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto'
import { chmod, link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  cleanReceipt,
  receiptBytes,
  receiptStatement,
  type ReceiptKey,
} from '#protocol/run/receipt.ts'
import type { Receipt } from '#protocol/run/run.ts'
import type { Config } from './config.ts'
import type { Database } from './db/database.ts'
import { getSigningKey } from './db/signing-keys.ts'
import type { SignReceipt } from './runs/moves.ts'

const KEY_FILE = 'receipt-key.pem'
const PURPOSE = 'receipts'

export interface ReceiptSigner {
  publicKey: ReceiptKey
  sign: SignReceipt
}

/**
 * The Ed25519 key that receipts are signed with, made at the first start. Servers that share a
 * Postgres share the key, which is kept there; else it lies in the data folder, for its owner alone.
 */
export async function openReceiptSigner(
  { dataFolder, database }: Pick<Config, 'dataFolder' | 'database'>,
  db: Database,
  now: Date,
): Promise<ReceiptSigner> {
  const pem =
    database.kind === 'embedded'
      ? await keyOfFolder(dataFolder)
      : await getSigningKey(db, PURPOSE, createKey, now)
  const privateKey = createPrivateKey(pem)
  const publicKey = describeKey(createPublicKey(privateKey))
  return {
    publicKey,
    sign(run, receipt): Receipt {
      const proof = cleanReceipt(receipt)
      const bytes = receiptBytes(receiptStatement(run, proof))
      const value = sign(null, bytes, privateKey).toString('base64url')
      return { ...proof, signature: { keyId: publicKey.kid, algorithm: 'ed25519', value } }
    },
  }
}

/** Never half there, and never made twice: temporary name, then link. */
async function keyOfFolder(folder: string): Promise<string> {
  const path = join(folder, KEY_FILE)
  const present = await readIfThere(path)
  if (present !== undefined) {
    await chmod(path, 0o600)
    return present
  }
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  await writeFile(temporary, createKey(), { mode: 0o600, flush: true })
  await link(temporary, path)
  await rm(temporary)
  return await readFile(path, 'utf8')
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw err
  }
}

function createKey(): string {
  const { privateKey } = generateKeyPairSync('ed25519')
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}

function describeKey(key: KeyObject): ReceiptKey {
  const { x } = key.export({ format: 'jwk' })
  if (x === undefined) throw new TypeError('The key of receipts is none of Ed25519')
  // RFC 7638 and RFC 8037, appendix A.3: these members, in this order, nothing between them.
  const members = JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x })
  return {
    kty: 'OKP',
    crv: 'Ed25519',
    x,
    kid: createHash('sha256').update(members).digest('base64url'),
    alg: 'EdDSA',
    use: 'sig',
    pem: key.export({ type: 'spki', format: 'pem' }).toString(),
  }
}
