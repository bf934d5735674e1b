import { after } from 'node:test'
import { createDatabaseLeaseStore } from '#server/db/leases.ts'
import { leases } from '#server/db/schema.ts'
import { describeOnEveryDatabase, type TestDatabase } from '#test/support/database.ts'
import { testLeaseStore } from './lease-store-contract.ts'

describeOnEveryDatabase('database lease store', (openTestDatabase) => {
  let database: TestDatabase | undefined
  after(() => database?.[Symbol.asyncDispose]())

  testLeaseStore(async () => {
    database ??= await openTestDatabase()
    await database.db.delete(leases)
    return createDatabaseLeaseStore(database.db)
  })
})
