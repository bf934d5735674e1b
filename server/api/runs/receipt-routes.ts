import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  ReceiptKeySchema,
  signedReceipt,
  SignedReceiptSchema,
  type ReceiptKey,
} from '#protocol/run/receipt.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import type { Database } from '#server/db/database.ts'
import { findRun } from '#server/db/runs/runs.ts'
import { NotFoundError } from '../http/errors.ts'
import { RunParams } from './run-routes.ts'

const tags = ['runs']

export interface ReceiptRoutesOptions {
  db: Database
  key: ReceiptKey
}

export function receiptRoutes({ db, key }: ReceiptRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/receipt-key',
      {
        config: { access: 'public' },
        schema: {
          tags,
          summary: 'The public key that receipts are signed with',
          response: { 200: ReceiptKeySchema },
        },
      },
      () => key,
    )

    app.get(
      '/runs/:id/receipt',
      {
        schema: {
          tags,
          summary: 'What a finished run proves, signed, as a file',
          params: RunParams,
          response: { 200: SignedReceiptSchema, 404: ErrorSchema },
        },
      },
      async ({ params }, reply) => {
        const run = await findRun(db, params.id)
        if (!run) throw new NotFoundError(`There is no run ${params.id}`)
        if (!run.receipt)
          throw new NotFoundError(`Run ${run.id} has no receipt: it is ${run.state}`, 'no-receipt')
        void reply.header('content-disposition', `attachment; filename="receipt-${run.id}.json"`)
        return signedReceipt(run, run.receipt)
      },
    )
  }
}
