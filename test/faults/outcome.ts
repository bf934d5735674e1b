import assert from 'node:assert/strict'
import { isZero } from '#agent/chunks/content.ts'
import { CHUNK_BYTES } from '#protocol/image/image.ts'
import type { Receipt } from '#protocol/run/run.ts'
import type { Outcome } from './cell.ts'

/** A backup GPT ends with its header, in the last sector. */
const SECTOR_BYTES = 512
/** The backup's entries and header. */
const TABLE_BYTES = 33 * SECTOR_BYTES
/** What disks write whole or not at all: boot code, and the GPT's header. */
const EDGE_BYTES = 4096
/** Shorter ones say what happened, not what to do. */
const MIN_SENTENCE_CHARACTERS = 25

export interface Ended {
  /** null: killed. */
  exitCode: number | null
  stdout: string
  stderr: string
}

export interface JudgedDisk {
  /** What it holds now. */
  content: Buffer
  /** What it held before. */
  before: Buffer
  image: Buffer
}

/** How a deployment ended; throws where that is none of the ends there may be. */
export function judgeDeploy(ended: Ended, disk: JudgedDisk): Outcome {
  if (ended.exitCode === 0) {
    const receipt = JSON.parse(ended.stdout) as Receipt
    assert.equal(receipt.imageVerified, true)
    assertSame(disk.content, disk.image, 'The run succeeded, and the disk is not the image')
    return 'verified'
  }
  assertReported(ended)
  if (process.env.FAULT_DEBUG) console.log(ended.stderr)
  return judgeUnfinished(disk)
}

export function judgeUnfinished(disk: JudgedDisk): Outcome {
  if (disk.content.equals(disk.before)) return 'untouched'
  if (disk.content.equals(disk.image)) return 'whole'
  assertUnbootable(disk)
  return 'not bootable'
}

/** A run that failed says why, in its last words, to people. */
export function assertReported({ exitCode, stderr }: Ended): void {
  assert.equal(exitCode, 1, stderr)
  assertSentence(stderr.trim().split('\n').at(-1) ?? '')
  assert.doesNotMatch(stderr, /^\s+at .*:\d+:\d+/m, 'A stack trace is nothing for people')
}

export function assertSentence(text: string): void {
  assert.match(text, /^["A-Z]/, `Not a sentence: "${text}"`)
  assert.ok(text.length >= MIN_SENTENCE_CHARACTERS, `Says too little: "${text}"`)
}

/** Neither a partition table nor boot code can be read, or what a backup of the table leads to is whole. */
function assertUnbootable({ content, before, image }: JudgedDisk): void {
  const edge = content.subarray(0, EDGE_BYTES)
  assert.ok(isZero(edge), 'The run failed, and the first sector of the disk is not zero')
  const isWiped = isZero(content.subarray(0, CHUNK_BYTES)) && !hasBackupTable(content)
  if (isWiped || content.subarray(EDGE_BYTES).equals(before.subarray(EDGE_BYTES))) return
  assertSame(
    content.subarray(CHUNK_BYTES, content.length - TABLE_BYTES),
    image.subarray(CHUNK_BYTES, image.length - TABLE_BYTES),
    'The ends of the disk lead to what is unfinished',
  )
}

function hasBackupTable(content: Buffer): boolean {
  const last = content.subarray(content.length - SECTOR_BYTES)
  return last.subarray(0, 8).equals(Buffer.from('EFI PART'))
}

export function assertSame(actual: Buffer, expected: Buffer, message: string): void {
  if (actual.equals(expected)) return
  assert.equal(actual.length, expected.length, message)
  const at = actual.findIndex((byte, index) => byte !== expected[index])
  assert.fail(`${message}: they differ first at byte ${at}`)
}
