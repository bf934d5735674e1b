import { availableParallelism } from 'node:os'
import { setFlagsFromString } from 'node:v8'

/**
 * Files, inflating and hashing share libuv's pool, which has four threads unless told otherwise
 * before its first use: so this is imported before everything else. Four writers that wait for a
 * disk would keep the processors idle.
 */
process.env.UV_THREADPOOL_SIZE ??= String(Math.max(8, 2 * availableParallelism()))

/**
 * Every MiB of a body is memory outside V8's heap. By itself V8 collects garbage over the whole heap
 * after every few of them, which was a third of the server's time in a capture; so it counts them as
 * part of the heap, and collects when that has grown by its usual share.
 */
setFlagsFromString('--external-memory-accounted-in-global-limit')
