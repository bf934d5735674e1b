import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, statSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { readContent } from '#server/images/store/chunk-codec.ts'
import { fileName, replacedName } from '#server/images/store/chunk-file.ts'
import { prepareDirectoryStore } from '#server/images/store/directory-store.ts'
import { sha256 } from '#test/support/disk-content.ts'
import { openTestStore } from '#test/support/image-store.ts'

const TEXT = 'a chunk that is replaced, '
const CONTENT = Buffer.from(TEXT.repeat(20_000))
const HASH = sha256(CONTENT)
const MEMBER = gzipSync(CONTENT, { level: 1 })
const FRAME = zstdCompressSync(CONTENT)
const PROGRAM = new URL('../../../support/replace-program.ts', import.meta.url).pathname
const KILLS = 10
/** Enough that some touches come right before the new form takes its name. */
const TOUCHED_TIMES = 20
/** Any of its forms has more. */
const LEAST_BYTES = 50

describe('a chunk that is replaced by another process', () => {
  it('is whole at every moment, and after a kill -9 at any', async () => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, FRAME)
    const path = join(test.folder, HASH.slice(0, 2), `${HASH.slice(2)}.zst`)
    for (let kill = 0; kill < KILLS; kill++) {
      const child = spawn(process.execPath, [PROGRAM, test.folder, HASH, TEXT], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const closed = once(child, 'close')
      await once(child.stdout, 'data')
      const until = performance.now() + 100 + kill * 7
      try {
        // Without a pause, so that no moment between two system calls is missed.
        while (performance.now() < until) assert.ok(statSync(path).size > LEAST_BYTES)
        assert.equal((await readContent(test.store, HASH)).length, CONTENT.length)
      } finally {
        child.kill('SIGKILL')
        await closed
      }
      await prepareDirectoryStore(test.folder)
      assert.ok(Buffer.from(await readContent(test.store, HASH)).equals(CONTENT))
    }
  })
})

describe('replacing a chunk', () => {
  it('keeps each form that it had until a sweep that is late enough', async () => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, MEMBER)
    const better = gzipSync(CONTENT, { level: 9 })
    const forms = [MEMBER, FRAME, better].map((bytes) => Buffer.from(bytes))
    for (const form of forms.slice(1)) assert.equal(await test.store.replace(HASH, form), true)
    const read = async (form: Buffer) => {
      const codec = form[0] === 0x1f ? ('gzip' as const) : ('zstd' as const)
      const options = { form: { codec, storedBytes: form.length } }
      return Buffer.from((await test.store.read(HASH, undefined, options)).bytes)
    }
    for (const form of forms) assert.ok((await read(form)).equals(form))
    assert.ok(Buffer.from((await test.store.read(HASH)).bytes).equals(better))

    const sweep = (replacedCutoff: Date) =>
      test.store.sweep({
        prefix: HASH.slice(0, 2),
        isLive: () => true,
        cutoff: new Date(),
        replacedCutoff,
      })
    await sweep(new Date(Date.now() - 60_000))
    for (const form of forms) assert.ok((await read(form)).equals(form))
    await sweep(new Date(Date.now() + 1))
    for (const form of forms) assert.ok((await read(form)).equals(better))
    assert.equal((await test.files()).length, 1)
  })

  it('loses no touch that comes meanwhile', async () => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, FRAME)
    const pathOf = (name: string) => join(test.folder, HASH.slice(0, 2), name)
    const form = { codec: 'zstd', storedBytes: FRAME.length } as const
    for (let time = 0; time < TOUCHED_TIMES; time++) {
      const replacing = test.store.replace(HASH, FRAME)
      let touchedAt = 0
      // Kept aside is what was touched, and right after that another file takes its name.
      while (!existsSync(pathOf(replacedName(HASH, form)))) {
        const at = Date.now()
        if ((await test.store.touch([HASH])).has(HASH)) touchedAt = at
      }
      await replacing
      assert.ok(statSync(pathOf(fileName(HASH, 'zstd'))).mtimeMs >= touchedAt)
      unlinkSync(pathOf(replacedName(HASH, form)))
    }
  })

  it('does nothing where no chunk is', async () => {
    await using test = await openTestStore()
    assert.equal(await test.store.replace(HASH, FRAME), false)
    assert.deepEqual(await test.files(), [])
  })

  it('is listed with its old forms', async () => {
    await using test = await openTestStore()
    await test.store.putIfAbsent(HASH, MEMBER)
    await test.store.replace(HASH, FRAME)
    const listed = await Array.fromAsync(test.store.list(HASH.slice(0, 2)))
    const replaced = [{ codec: 'gzip', storedBytes: MEMBER.length }]
    assert.deepEqual(
      listed.map(({ hash, codec, storedBytes, replaced: forms }) => ({
        hash,
        codec,
        storedBytes,
        replaced: forms,
      })),
      [{ hash: HASH, codec: 'zstd', storedBytes: FRAME.length, replaced }],
    )
  })
})
