import { availableParallelism } from 'node:os'

/**
 * Inflating, compressing and disk I/O share libuv's pool, which has four threads unless told
 * otherwise before its first use: so this is imported before everything else.
 */
process.env.UV_THREADPOOL_SIZE ??= String(Math.max(8, 2 * availableParallelism()))
