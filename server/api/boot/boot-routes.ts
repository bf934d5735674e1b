import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { MAC_PATTERN, parseMac, type Mac } from '#protocol/mac.ts'
import { ErrorSchema } from '#protocol/shapes.ts'
import type { VirtualFiles } from '#server/tftp/virtual-file.ts'
import { bootScript, type BootScriptOptions } from './boot-script.ts'
import { NotFoundError } from '../http/errors.ts'
import { sendFile } from '../http/send-file.ts'

const ScriptParams = Type.Object({
  script: Type.String({ pattern: `^${MAC_PATTERN.slice(1, -1)}\\.ipxe$` }),
})
const FileParams = Type.Object({ name: Type.String({ minLength: 1, maxLength: 255 }) })
const tags = ['boot']
const config = { access: 'public' } as const

export interface BootRoutesOptions extends Omit<BootScriptOptions, 'log'> {
  /** Whether the address is of the machine with this MAC. */
  isProven: (remoteAddress: string, mac: Mac) => Promise<boolean>
  /** The files that firmware can boot, by name. */
  bootFiles: () => Promise<VirtualFiles>
  findAgentFile: (name: 'kernel' | 'initrd') => Promise<string | undefined>
  /** The machine at this address fetched the file. */
  onFile: (remoteAddress: string, file: { stage: 'loader' | 'kernel'; detail: string }) => void
  /** The machine at this address proved its MAC. */
  onProof: (remoteAddress: string, mac: Mac) => void
  now: () => Date
}

/** For firmware and iPXE, which have no token. */
export function bootRoutes(options: BootRoutesOptions): FastifyPluginAsyncTypebox {
  const { isProven, bootFiles, findAgentFile, onFile, onProof, now } = options
  return async (app) => {
    app.get(
      '/boot/:script',
      {
        config,
        schema: {
          tags,
          summary: "The machine's iPXE script at this moment: /boot/52-54-00-12-34-56.ipxe",
          params: ScriptParams,
          response: { 200: Type.String(), 400: ErrorSchema },
        },
      },
      async (request, reply) => {
        const mac = parseMac(request.params.script.slice(0, -'.ipxe'.length))
        // A token that nobody reads starts no run: who asks for the head alone boots nothing.
        const proven = request.method === 'GET' && (await isProven(request.ip, mac))
        if (proven) onProof(request.ip, mac)
        const script = await bootScript(
          { ...options, log: request.log },
          { mac, isProven: proven, now: now() },
        )
        return reply
          .type('text/plain; charset=utf-8')
          .header('cache-control', 'no-store')
          .send(script)
      },
    )

    for (const name of ['kernel', 'initrd'] as const)
      app.get(
        `/boot/${name}`,
        { config, schema: { tags, summary: `The agent's ${name}` } },
        async ({ ip, method }, reply) => {
          const path = await findAgentFile(name)
          if (path === undefined)
            throw new NotFoundError(`There is no ${name}; build it with "npm run initramfs"`)
          if (method === 'GET') onFile(ip, { stage: 'kernel', detail: name })
          return sendFile(reply, path, name)
        },
      )

    app.get(
      '/boot/files/:name',
      { config, schema: { tags, summary: 'A boot file, for UEFI HTTP boot', params: FileParams } },
      async ({ params, ip, method }, reply) => {
        const what = `boot file "${params.name}"`
        const file = (await bootFiles()).get(params.name)
        if (file === undefined) throw new NotFoundError(`There is no ${what}`)
        // Firmware asks for the size first, and may stop there.
        if (method === 'GET') onFile(ip, { stage: 'loader', detail: `${params.name} by HTTP` })
        if ('path' in file) return sendFile(reply, file.path, what)
        return reply.type('application/octet-stream').send(file.bytes)
      },
    )
  }
}
