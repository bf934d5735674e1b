import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { parseMac } from '#protocol/mac.ts'
import { ErrorSchema, MacText } from '#protocol/shapes.ts'
import { findMachineRow } from '#server/db/machines/machines.ts'
import { previewScript, type BootScriptOptions } from '../boot/boot-script.ts'
import { NotFoundError } from '../http/errors.ts'

export interface MachineScriptRoutesOptions extends Omit<BootScriptOptions, 'log'> {
  now: () => Date
}

export function machineScriptRoutes(
  options: MachineScriptRoutesOptions,
): FastifyPluginAsyncTypebox {
  const { database, now } = options
  return async (app) => {
    app.get(
      '/machines/:mac/script',
      {
        schema: {
          tags: ['machines'],
          summary: 'The iPXE script that the machine would get now, without its token',
          description:
            'Asking changes nothing: no token is made and no run moves. The script is what the machine gets if it asks from an address that proves its MAC.',
          params: Type.Object({ mac: MacText }),
          produces: ['text/plain'],
          response: { 200: Type.String(), 404: ErrorSchema },
        },
      },
      async ({ params }, reply) => {
        const mac = parseMac(params.mac)
        const machine = await findMachineRow(database.db, mac)
        if (!machine) throw new NotFoundError(`There is no machine with MAC ${mac}`)
        const script = await previewScript(options, { mac, machine, now: now() })
        return reply
          .type('text/plain; charset=utf-8')
          .header('cache-control', 'no-store')
          .send(script)
      },
    )
  }
}
