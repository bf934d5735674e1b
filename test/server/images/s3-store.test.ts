import { after, before } from 'node:test'
import { tmpdir } from 'node:os'
import { randomUUID } from 'node:crypto'
import { createChunkTouches } from '#server/db/chunk-touches.ts'
import { createS3Client } from '#server/images/s3-client.ts'
import { createS3Store } from '#server/images/s3-store.ts'
import { parseObjectPage } from '#server/images/s3-xml.ts'
import { testChunkStore } from '#test/suites/chunk-store.ts'
import { describeOnEveryDatabase, type TestDatabase } from '#test/support/database.ts'
import { openRadosGateway, type RadosGateway } from '#test/support/rados-gateway.ts'

let gateway: RadosGateway
before(async () => {
  gateway = await openRadosGateway()
  await gateway.createBucket('stampede')
})
after(() => gateway[Symbol.asyncDispose]())

describeOnEveryDatabase('S3 store on a RADOS gateway', (openTestDatabase, kind) => {
  let database: TestDatabase
  before(async () => void (database = await openTestDatabase()))
  after(() => database[Symbol.asyncDispose]())

  testChunkStore(async () => {
    const client = createS3Client(gateway.access('stampede', `${randomUUID()}/`))
    const { access } = client
    return {
      store: createS3Store(client, createChunkTouches(database.db, kind)),
      spoolFolder: tmpdir(),
      async damage(hash, body) {
        const key = `chunks/${hash.slice(0, 2)}/${hash.slice(2)}`
        await client.send({ method: 'PUT', key, body })
      },
      async names() {
        const query = { 'list-type': '2', prefix: access.prefix }
        const { body } = await client.send({ method: 'GET', query })
        return parseObjectPage(new TextDecoder().decode(body)).objects.map(({ key }) => key)
      },
      async [Symbol.asyncDispose]() {},
    }
  })
})
