/** All tables. A change of them is followed by `npm run db:generate`. */

export * from './schema/machines.ts'
export * from './schema/images.ts'
export * from './schema/store.ts'
export * from './schema/runs.ts'
export * from './schema/network.ts'
export * from './schema/accounts.ts'
export * from './schema/events.ts'
