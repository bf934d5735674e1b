import { availableParallelism } from 'node:os'

/**
 * Files, inflating and hashing share libuv's pool, which has four threads unless told otherwise
 * before its first use: so this is imported before everything else. Four writers that wait for a
 * disk would keep the processors idle.
 */
process.env.UV_THREADPOOL_SIZE ??= String(Math.max(8, 2 * availableParallelism()))
