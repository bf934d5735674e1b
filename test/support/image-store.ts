import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { decodeSegment, type Manifest } from '#protocol/image/image.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import { readContent } from '#server/images/store/chunk-codec.ts'
import type { ChunkStore } from '#server/images/store/chunk-store.ts'
import {
  createDirectoryStore,
  prepareDirectoryStore,
} from '#server/images/store/directory-store.ts'
import {
  importImage,
  type ImportedImage,
  type ImportOptions,
} from '#server/images/import/import-image.ts'

export interface TestStore extends AsyncDisposable {
  folder: string
  spoolFolder: string
  store: ChunkStore
  /** All files, temporary and spooled ones included. */
  files: () => Promise<string[]>
  import: (body: Uint8Array, options?: Partial<ImportOptions>) => Promise<ImportedImage>
}

/** A directory store in a folder of its own. */
export async function openTestStore(): Promise<TestStore> {
  const base = await mkdtemp(join(tmpdir(), 'stampede-store-'))
  const folder = join(base, 'store')
  const spoolFolder = join(base, 'spool')
  await mkdir(spoolFolder)
  await prepareDirectoryStore(folder)
  const store = createDirectoryStore({ folder, flush: async () => {} })
  return {
    folder,
    spoolFolder,
    store,
    async files() {
      const entries = await readdir(base, { recursive: true, withFileTypes: true })
      return entries.filter((entry) => entry.isFile()).map((entry) => entry.name)
    },
    import: (body, options = {}) =>
      importImage(pieces(body), { store, spoolFolder, maxImageBytes: 2 ** 40, ...options }),
    [Symbol.asyncDispose]: () => rm(base, { recursive: true, force: true }),
  }
}

/** As a socket delivers it: in parts that have nothing to do with what is in them. */
function pieces(body: Uint8Array): Readable {
  return Readable.from(
    (function* () {
      for (let start = 0; start < body.length; start += 50_000)
        yield body.subarray(start, start + 50_000)
    })(),
  )
}

export function manifestOf({ manifest }: ImportedImage): Manifest {
  return JSON.parse(new TextDecoder().decode(manifest)) as Manifest
}

/** The disk that an image describes, read chunk by chunk from the store. */
export async function readDisk(store: ChunkStore, image: ImportedImage): Promise<Buffer> {
  const { sizeBytes, segments } = manifestOf(image)
  const disk = Buffer.alloc(sizeBytes)
  let index = 0
  for (const segment of segments) {
    if (segment === null) continue
    const references = decodeSegment(await readContent(store, parseSha256(segment)))
    for (const reference of references) {
      if (reference !== 'zero' && reference !== 'unused')
        disk.set(await readContent(store, reference), index * 1_048_576)
      index++
    }
  }
  return disk
}
