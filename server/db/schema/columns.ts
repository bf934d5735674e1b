import { bigint, customType, timestamp } from 'drizzle-orm/pg-core'

/** Columns that drizzle lacks, or that are alike everywhere. */

export const bytea = customType<{ data: Uint8Array; driverData: Uint8Array }>({
  dataType: () => 'bytea',
})

export const moment = () => timestamp({ withTimezone: true, mode: 'date' })
export const bytes = () => bigint({ mode: 'number' })
