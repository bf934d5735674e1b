import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readCached } from '#server/images/store/cached-read.ts'
import { MIB } from './disk-content.ts'

const MOST_TRIES = 20

/**
 * Has the kernel forget what it has in memory of a file. Only where the file system tells whether a read would
 * wait for the medium.
 */
export function forgetFile(path: string): void {
  // What dd has the kernel forget (posix_fadvise) must be on the medium first. Pages that another
  // processor is about to sort into its lists stay, so one try may not do.
  const forget = ['oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none']
  const scratch = Buffer.alloc(2 * MIB)
  for (let tries = 0; readCached(path, scratch) !== undefined; tries++) {
    assert.ok(tries < MOST_TRIES, `The kernel does not forget ${path}`)
    execFileSync('sync', [path])
    execFileSync('dd', ['if=/dev/null', `of=${path}`, ...forget])
  }
}
