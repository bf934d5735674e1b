import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { parseMac } from '#protocol/mac.ts'
import {
  MachinesDeleteAnswerSchema,
  MachinesDeleteSchema,
  MachinesPatchAnswerSchema,
  MachinesPatchSchema,
} from '#protocol/machine/machine.ts'
import type { Database } from '#server/db/database.ts'
import { changeMachines, deleteMachines } from '#server/db/machines/machine-bulk.ts'

const tags = ['machines']

/** The same to many machines: each is done or refused by itself. */
export function machineBulkRoutes({ db }: { db: Database }): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.patch(
      '/machines',
      {
        config: { access: 'operator', scope: 'machines', audit: 'machine.update-many' },
        schema: {
          tags,
          summary: 'Make the same change to many machines',
          body: MachinesPatchSchema,
          response: { 200: MachinesPatchAnswerSchema },
        },
      },
      async ({ body }) => changeMachines(db, body.macs.map(parseMac), body.set),
    )

    app.post(
      '/machines/delete',
      {
        config: { access: 'operator', scope: 'machines', audit: 'machine.delete-many' },
        schema: {
          tags,
          summary: 'Forget many machines and their runs',
          body: MachinesDeleteSchema,
          response: { 200: MachinesDeleteAnswerSchema },
        },
      },
      async ({ body }) => deleteMachines(db, body.macs.map(parseMac)),
    )
  }
}
