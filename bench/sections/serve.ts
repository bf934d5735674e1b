import { createWriteStream } from 'node:fs'
import { readdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { ClientsOrder } from '../clients.ts'
import type { Table } from '../markdown.ts'
import { measureAll, timePipeline, type Contender } from '../rounds.ts'
import { runClients } from '../run-clients.ts'
import { IMAGE, type Setting } from '../setting.ts'
import { needPeerFile } from './peer-files.ts'
import type { SectionResult } from './section.ts'

/** What clients get in a second, against nginx that serves the same bytes with sendfile. */

const CLIENTS = [1, 8, 64]
/** Of all clients together, in one measurement; in memory, as what many ask for is. */
const TOTAL_BYTES = 6e9
const QUICK_TOTAL_BYTES = 2e9
/** Chunks that all clients ask for, in the same order, as machines that boot together do. */
const CHUNKS = 400
/** An image that was uploaded: its chunks are gzip members. */
const UPLOADED = 'bench-upload'

type Side = Pick<ClientsOrder, 'port' | 'token'> & { name: string; label: string }

export async function benchServe(setting: Setting): Promise<SectionResult> {
  // One after the other in a store of its own: what one brought, the other would not bring again.
  await setting.forgetImages()
  await upload(setting)
  const uploaded = await measureGroups(setting, [
    ...wholeGroups(setting, 'image', '.img.gz of an upload', await keepExport(setting, UPLOADED)),
  ])
  await setting.forgetImages()
  await setting.needImage()
  const captured = await measureGroups(setting, [
    ...chunkGroups(setting, await shareChunks(setting)),
    ...wholeGroups(setting, 'captured', '.img.gz of a capture', await keepExport(setting, IMAGE)),
  ])
  const tables = [...uploaded, ...captured]
  return { measurements: tables.flatMap(({ rows }) => rows), tables }
}

interface Group {
  title: string
  contenders: Contender[]
}

function sides({ server, nginx }: Setting): { ours: Side; theirs: Side } {
  const port = Number(new URL(server.url).port)
  return {
    ours: { name: 'stampede', label: 'Stampede', port, token: server.token },
    theirs: { name: 'nginx', label: 'nginx', port: nginx.port },
  }
}

function wholeGroups(setting: Setting, what: string, title: string, { path, bytes }: Exported) {
  const { ours, theirs } = sides(setting)
  const totalBytes = setting.options.isQuick ? QUICK_TOTAL_BYTES : TOTAL_BYTES
  return CLIENTS.map((clients): Group => {
    const paths = Array.from({ length: clients }, () => [path])
    const some = { paths, bytes: Math.min(bytes, Math.round(totalBytes / clients)) }
    return {
      title: `${title}, ${clients} at once`,
      contenders: [ours, theirs].map((side) =>
        contender(`serve/${what}-${side.name}-${clients}`, side, some),
      ),
    }
  })
}

function chunkGroups(setting: Setting, chunks: Record<'ours' | 'theirs', string[]>): Group[] {
  const { ours, theirs } = sides(setting)
  return CLIENTS.map((clients) => {
    const all = (paths: string[]) => Array.from({ length: clients }, () => paths)
    return {
      title: `chunks, ${clients} at once`,
      contenders: [
        contender(`serve/chunks-stampede-${clients}`, ours, {
          paths: all(chunks.ours),
        }),
        contender(`serve/chunks-nginx-${clients}`, theirs, {
          paths: all(chunks.theirs),
        }),
      ],
    }
  })
}

async function measureGroups({ options }: Setting, groups: readonly Group[]): Promise<Table[]> {
  // So that all of it is in memory, as what many ask for is.
  for (const { contenders } of groups) for (const each of contenders) await each.measure()
  const tables: Table[] = []
  for (const { title, contenders } of groups) {
    console.error(`  ${title}`)
    tables.push({ title, rows: await measureAll(contenders, options.rounds) })
  }
  return tables
}

function contender(
  key: string,
  side: Side,
  what: Pick<ClientsOrder, 'paths' | 'bytes'>,
): Contender {
  return {
    key,
    name: side.label,
    unit: 'bytesPerSecond',
    async measure() {
      const { bytes, seconds } = await runClients({ ...side, ...what })
      return bytes / seconds
    },
  }
}

async function upload(setting: Setting): Promise<void> {
  const { server } = setting
  const file = await needPeerFile(setting, 'image.zst')
  const url = `${server.url}/api/images/${UPLOADED}`
  const headers = `-H 'Authorization: Bearer ${server.token}'`
  await timePipeline({ command: `curl -sSf ${headers} -X PUT -T ${file} ${url} >/dev/null` })
}

interface Exported {
  path: string
  bytes: number
}

/** Our own export as a file of nginx, so that both send the same bytes. */
async function keepExport({ server, peerFolder }: Setting, name: string): Promise<Exported> {
  const path = `/images/${name}.img.gz`
  const answer = await fetch(server.url + path, {
    headers: { authorization: `Bearer ${server.token}` },
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  const folder = join(peerFolder, 'images')
  await timePipeline({ command: `mkdir -p ${folder}` })
  await pipeline(answer.body!, createWriteStream(join(folder, `${name}.img.gz`)))
  return { path, bytes: Number(answer.headers.get('content-length')) }
}

/** The store's own files, under our addresses and under those that nginx has for them. */
async function shareChunks({ server, peerFolder }: Setting) {
  // What no image needs would go while it is asked for.
  const headers = { authorization: `Bearer ${server.token}` }
  const swept = await fetch(`${server.url}/api/store/sweep`, { method: 'POST', headers })
  if (!swept.ok) throw new Error(`Sweep: ${swept.status} ${await swept.text()}`)
  const store = join(server.dataFolder, 'store')
  await symlink(store, join(peerFolder, 'store')).catch((err: NodeJS.ErrnoException) => {
    if (err.code !== 'EEXIST') throw err
  })
  const names = (await readdir(store, { recursive: true }))
    .filter((name) => /^[0-9a-f]{2}\/[0-9a-f]{62}\.zst$/.test(name))
    .toSorted()
    .slice(0, CHUNKS)
  return {
    ours: names.map((name) => `/chunks/${name.replace('/', '').replace('.zst', '')}`),
    theirs: names.map((name) => `/store/${name}`),
  }
}
