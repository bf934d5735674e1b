/**
 * What decided against npm's zlib-sync: installs it into a temporary folder, as `npm install` does and
 * then once more against this Node's own headers, and measures. Needs a compiler.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempDisposableSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, gunzipSync, gzipSync } from 'node:zlib'

const VERSION = '0.1.10'
const MIB = 1024 * 1024
const CHUNKS = 96

type ZlibSync = {
  Inflate: new (options: object) => { push(bytes: Buffer, flush: number): void; result: Buffer }
  [constant: string]: unknown
}

using folder = mkdtempDisposableSync(join(tmpdir(), 'zlib-sync-'))
writeFileSync(join(folder.path, 'package.json'), '{"private":true}')
const npm = (...args: string[]) =>
  execFileSync('npm', [...args, '--no-audit', '--no-fund'], { cwd: folder.path, stdio: 'ignore' })

function load(): ZlibSync | string {
  const script = 'console.log(require("zlib-sync").ZLIB_VERSION)'
  try {
    execFileSync(process.execPath, ['-e', script], { cwd: folder.path, stdio: 'pipe' })
  } catch (err) {
    return /Error: (.*)/.exec(String((err as { stderr: Buffer }).stderr))?.[1] ?? 'does not load'
  }
  return createRequire(join(folder.path, 'x.js'))('zlib-sync') as ZlibSync
}

npm('install', `zlib-sync@${VERSION}`, '--ignore-scripts=false')
let loaded = load()
console.log('as npm installs it:', typeof loaded === 'string' ? loaded : 'loads')
if (typeof loaded === 'string') {
  const headers = dirname(dirname(process.execPath))
  execFileSync('npm', ['rebuild', '--ignore-scripts=false'], {
    cwd: folder.path,
    env: { ...process.env, npm_config_nodedir: headers },
    stdio: 'ignore',
  })
  loaded = load()
  console.log(`compiled against ${headers}:`, typeof loaded === 'string' ? loaded : 'loads')
}
if (typeof loaded === 'string') process.exit(1)
const zlib = loaded
const GZIP_WINDOW_BITS = 31
const inflate = (member: Buffer): Buffer => {
  const inflater = new zlib.Inflate({ windowBits: GZIP_WINDOW_BITS, chunkSize: MIB + 1024 })
  inflater.push(member, zlib['Z_SYNC_FLUSH'] as number)
  return inflater.result
}

const functions = Object.keys(zlib).filter((name) => typeof zlib[name] === 'function')
console.log('functions it has:', functions.join(', '))

const bomb = gzipSync(Buffer.alloc(256 * MIB))
console.log(
  `${bomb.length} bytes become`,
  inflate(bomb).length,
  'bytes: there is no limit to ask for',
)

const cut = gzipSync(Buffer.alloc(MIB, 'x')).subarray(0, -8)
console.log('a member without its trailer:', inflate(cut).length, 'bytes and no error')

// Text and noise, so that it compresses about as a system's files do.
const content = Buffer.alloc(MIB)
for (let at = 0; at < MIB; at += 64) {
  randomBytes(24).copy(content, at)
  content.write('the same words in each of these lines', at + 24)
}
const member = gzipSync(content, { level: 1 })

function rate(name: string, milliseconds: number): void {
  console.log(`${name}: ${Math.round((CHUNKS * 1000) / milliseconds)} MiB/s`)
}
let started = performance.now()
for (let n = 0; n < CHUNKS; n++) inflate(member)
rate('zlib-sync, chunk after chunk, nothing else runs meanwhile', performance.now() - started)
started = performance.now()
for (let n = 0; n < CHUNKS; n++) gunzipSync(member)
rate('node:zlib, sync', performance.now() - started)
started = performance.now()
const inflateAsync = promisify(gunzip) as (bytes: Buffer, options: object) => Promise<Buffer>
await Promise.all(
  Array.from({ length: CHUNKS }, () => inflateAsync(member, { chunkSize: MIB + 1024 })),
)
rate('node:zlib, on the thread pool, the event loop free', performance.now() - started)
