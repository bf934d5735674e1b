import type { Examples } from '../openapi/add-examples.ts'
import { ACCOUNT_EXAMPLES } from './accounts.ts'
import { IMAGE_EXAMPLES } from './images.ts'
import { MACHINE_EXAMPLES } from './machines.ts'
import { RUN_EXAMPLES } from './runs.ts'
import { SERVER_EXAMPLES } from './server.ts'

/** What every call is sent and answers, for those who read. A test holds them against the schemas. */
export const EXAMPLES: Examples = {
  ...ACCOUNT_EXAMPLES,
  ...MACHINE_EXAMPLES,
  ...RUN_EXAMPLES,
  ...IMAGE_EXAMPLES,
  ...SERVER_EXAMPLES,
}
