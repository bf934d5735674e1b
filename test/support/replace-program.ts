import { zstdCompressSync, constants } from 'node:zlib'
import { parseSha256 } from '#protocol/sha256.ts'
import { createDirectoryStore } from '#server/images/store/directory-store.ts'

/** Replaces a chunk by other forms of its content for ever, until somebody kills it. */
const [folder = '', hash = '', content = ''] = process.argv.slice(2)
const store = createDirectoryStore({ folder, flush: async () => {} })
const forms = [1, 5, 9, 15].map((level) =>
  zstdCompressSync(Buffer.from(content.repeat(20_000)), {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_checksumFlag]: level % 2,
    },
  }),
)
console.log('ready')
for (let round = 0; ; round++) await store.replace(parseSha256(hash), forms[round % forms.length]!)
