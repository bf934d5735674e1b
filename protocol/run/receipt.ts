import canonicalize from 'canonicalize'
import { Type, type Static } from 'typebox'
import { Clean } from 'typebox/value'
import { ReceiptSchema, RunSchema, type Receipt, type Run } from './run.ts'

/** A receipt as it leaves the server: what it proves, of which run, signed by the server's key. */

export const RECEIPT_MEDIA_TYPE = 'application/vnd.stampede.receipt.v1+json'

const { signature: SignatureOfReceipt, ...facts } = ReceiptSchema.properties
const { id, mac, workflow, state } = RunSchema.properties

export const SignedReceiptSchema = Type.Object({
  mediaType: Type.Literal(RECEIPT_MEDIA_TYPE),
  run: Type.Object({ id, mac, workflow, state, attempt: Type.Integer({ minimum: 0 }) }),
  receipt: Type.Object(facts),
  /** Absent in receipts of runs that ended before the server signed any. */
  signature: SignatureOfReceipt,
})
export type SignedReceipt = Static<typeof SignedReceiptSchema>
export type ReceiptStatement = Omit<SignedReceipt, 'signature'>

/** The server's public key as a JWK (RFC 8037), and once more as PEM, for openssl. */
export const ReceiptKeySchema = Type.Object({
  kty: Type.Literal('OKP'),
  crv: Type.Literal('Ed25519'),
  x: Type.String(),
  /** The key's thumbprint (RFC 7638); `keyId` of its signatures. */
  kid: Type.String(),
  alg: Type.Literal('EdDSA'),
  use: Type.Literal('sig'),
  pem: Type.String(),
})
export type ReceiptKey = Static<typeof ReceiptKeySchema>

type SignedRun = Pick<Run, 'id' | 'mac' | 'workflow' | 'state' | 'attempts'>

/** What is signed of a run and its receipt. */
export function receiptStatement(run: SignedRun, receipt: Receipt): ReceiptStatement {
  const { signature: _signature, ...proof } = receipt
  return {
    mediaType: RECEIPT_MEDIA_TYPE,
    run: {
      id: run.id,
      mac: run.mac,
      workflow: run.workflow,
      state: run.state,
      attempt: run.attempts,
    },
    receipt: proof,
  }
}

export function signedReceipt(run: SignedRun, receipt: Receipt): SignedReceipt {
  const { signature } = receipt
  return { ...receiptStatement(run, receipt), ...(signature && { signature }) }
}

/** The bytes under the signature: canonical JSON (RFC 8785), the signature left out. */
export function receiptBytes({ mediaType, run, receipt }: ReceiptStatement): Uint8Array {
  return new TextEncoder().encode(canonicalize({ mediaType, run, receipt }))
}

/**
 * Why a server's key does not vouch for a receipt; undefined if it does. `fits` is Ed25519 with that key, of
 * bytes and a signature in base64url.
 */
export function signatureFault(
  { signature, ...statement }: SignedReceipt,
  keyId: string,
  fits: (bytes: Uint8Array, signature: string) => boolean,
): 'unsigned' | 'other-key' | 'changed' | undefined {
  if (!signature) return 'unsigned'
  if (signature.keyId !== keyId) return 'other-key'
  return fits(receiptBytes(statement), signature.value) ? undefined : 'changed'
}

/** Without what the schema does not know, which would be signed and not be shown. */
export function cleanReceipt(receipt: Receipt): Receipt {
  const { signature: _signature, ...proof } = Clean(
    ReceiptSchema,
    structuredClone(receipt),
  ) as Receipt
  return proof
}
