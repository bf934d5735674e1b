import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'

/**
 * Inflating, compressing and disk I/O share libuv's pool, which has four threads unless told
 * otherwise before its first use: so this is imported before everything else.
 */
process.env.UV_THREADPOOL_SIZE ??= String(Math.max(8, 2 * availableParallelism()))

/** Bodies lie outside V8's heap; without this it collects garbage after every few of them. */
setFlagsFromString('--external-memory-accounted-in-global-limit')
