import type { Examples } from '../openapi/add-examples.ts'

/** What every call is sent and answers, for those who read. A test holds them against the schemas. */
export const EXAMPLES: Examples = {}
