import { argon2, randomBytes, timingSafeEqual, type Argon2Parameters } from 'node:crypto'
import { promisify } from 'node:util'
import pLimit from 'p-limit'
import { UnavailableError } from '../http/errors.ts'

const argon2Async = promisify(argon2)

/**
 * RFC 9106, section 4, the second recommended option, for where memory is scarce: 64 MiB, 3 passes, 4
 * lanes. About 0.15 s on one core.
 */
const COST = { memory: 64 * 1024, passes: 3, parallelism: 4 }
const SALT_BYTES = 16
const TAG_BYTES = 32
/** So that whoever tries passwords takes one core and 64 MiB at most; the rest serves machines. */
const MAX_AT_ONCE = 1
const MAX_WAITING = 32

const FORM = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([\w+/]+)\$([\w+/]+)$/
/** Nobody's: the time to refuse an unknown name is that of a known one. */
const NOBODY = format(COST, randomBytes(SALT_BYTES), randomBytes(TAG_BYTES))

export interface Passwords {
  /** A PHC string: argon2id with its parameters and salt. Throws UnavailableError. */
  hash(password: string): Promise<string>
  /** False without a hash too, after the same time. Throws UnavailableError. */
  verify(password: string, hash: string | undefined): Promise<boolean>
}

export function createPasswords(): Passwords {
  const limit = pLimit(MAX_AT_ONCE)

  function derive(password: string, cost: typeof COST, salt: Buffer, tagLength: number) {
    if (limit.pendingCount >= MAX_WAITING)
      throw new UnavailableError(
        'Too many passwords are being checked; try again in a moment',
        'busy',
      )
    const parameters: Argon2Parameters = {
      // The same on every keyboard, whatever it composes accents of (NIST SP 800-63B, 3.1.1.2).
      message: Buffer.from(password.normalize('NFKC')),
      nonce: salt,
      tagLength,
      ...cost,
    }
    return limit(() => argon2Async('argon2id', parameters))
  }

  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES)
      return format(COST, salt, await derive(password, COST, salt, TAG_BYTES))
    },
    async verify(password, hash) {
      const { cost, salt, tag } = parse(hash ?? NOBODY)
      const derived = await derive(password, cost, salt, tag.length)
      return timingSafeEqual(derived, tag) && hash !== undefined
    },
  }
}

function format({ memory, passes, parallelism }: typeof COST, salt: Buffer, tag: Buffer): string {
  const cost = `m=${memory},t=${passes},p=${parallelism}`
  return `$argon2id$v=19$${cost}$${unpadded(salt)}$${unpadded(tag)}`
}

function parse(text: string): { cost: typeof COST; salt: Buffer; tag: Buffer } {
  const [, memory, passes, parallelism, salt, tag] = FORM.exec(text) ?? []
  if (salt === undefined || tag === undefined)
    throw new Error('A password in the database is not stored as an argon2id string')
  return {
    cost: { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) },
    salt: Buffer.from(salt, 'base64'),
    tag: Buffer.from(tag, 'base64'),
  }
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}
