import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import { parseIpv4, parseIpv4Cidr } from '#protocol/ipv4.ts'
import { parseMac } from '#protocol/mac.ts'
import {
  MachinePatchSchema,
  MachinePutSchema,
  MachineSchema,
  type MachinePut,
  type NetworkSettings,
} from '#protocol/machine/machine.ts'
import { ErrorSchema, listOf, MacText } from '#protocol/shapes.ts'
import type { Database } from '#server/db/database.ts'
import { deleteMachine, tellActive } from '#server/db/machines/delete-machines.ts'
import { listMachines } from '#server/db/machines/machine-list.ts'
import {
  defaultName,
  findMachine,
  findMachineRow,
  saveMachine,
  type OperatorFields,
} from '#server/db/machines/machines.ts'
import { ConflictError, NotFoundError, UnprocessableError } from '../http/errors.ts'
import { entityTag, ifMatch, sendTagged } from '../http/etag.ts'
import { MachineQuerySchema, readMachineQuery, writeCursor } from './machine-query.ts'

const Params = Type.Object({ mac: MacText })
const tags = ['machines']

/** Whoever reads a machine, changes it and puts it back sends these too; they stay as they are. */
const IgnoredInPut = Type.Partial(
  Type.Object({
    mac: MacText,
    macs: Type.Unknown(),
    inventory: Type.Unknown(),
    manufacturer: Type.Unknown(),
    product: Type.Unknown(),
    serial: Type.Unknown(),
    state: Type.Unknown(),
    lastSeenAt: Type.Unknown(),
    boot: Type.Unknown(),
    imageDigest: Type.Unknown(),
    run: Type.Unknown(),
  }),
)
const PutSchema = Type.Object(
  { ...IgnoredInPut.properties, ...MachinePutSchema.properties },
  { additionalProperties: false },
)

/** Machines by any spelling of any of their MACs. */
export function machineRoutes({ db }: { db: Database }): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/machines',
      {
        schema: {
          tags,
          summary: 'Find machines; without a sort in the order of their MACs',
          querystring: MachineQuerySchema,
          response: { 200: listOf(MachineSchema), 400: ErrorSchema },
        },
      },
      async ({ query }) => {
        const { items, next } = await listMachines(db, readMachineQuery(query))
        return { items, next: next && writeCursor(next, query.sort) }
      },
    )

    app.get(
      '/machines/:mac',
      {
        config: { tagged: true },
        schema: {
          tags,
          summary: 'Read a machine',
          params: Params,
          response: { 200: MachineSchema, 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const mac = parseMac(request.params.mac)
        const machine = await findMachine(db, mac)
        if (!machine) throw unknownMachine(mac)
        return sendTagged(request, reply, tagOf(machine), machine)
      },
    )

    app.put(
      '/machines/:mac',
      {
        config: { access: 'operator', scope: 'machines', audit: 'machine.replace', tagged: true },
        schema: {
          tags,
          summary: "Enter a machine, or replace all of an operator's fields",
          params: Params,
          body: PutSchema,
          response: { 200: MachineSchema, 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { params, body } = request
        const mac = parseMac(params.mac)
        checkNetwork(body.network)
        const present = await findMachineRow(db, mac)
        const key = present?.mac ?? mac
        if (body.mac !== undefined && ![mac, key].includes(parseMac(body.mac)))
          throw new UnprocessableError(`The body is of machine ${body.mac}, not of ${mac}`)
        const fields = fieldsOf(body, defaultName(key))
        const machine = await saveMachine(db, mac, fields, ifMatch(request, tagOf))
        return sendTagged(request, reply, tagOf(machine), machine)
      },
    )

    app.patch(
      '/machines/:mac',
      {
        config: { access: 'operator', scope: 'machines', audit: 'machine.update', tagged: true },
        schema: {
          tags,
          summary: "Change some of an operator's fields; null removes one",
          params: Params,
          body: MachinePatchSchema,
          response: { 200: MachineSchema, 404: ErrorSchema, 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { params, body } = request
        const mac = parseMac(params.mac)
        checkNetwork(body.network)
        const checkTag = ifMatch(request, tagOf)
        const machine = await saveMachine(db, mac, body, (row) => {
          if (!row) throw unknownMachine(mac)
          checkTag?.(row)
        })
        return sendTagged(request, reply, tagOf(machine), machine)
      },
    )

    app.delete(
      '/machines/:mac',
      {
        config: { access: 'operator', scope: 'machines', audit: 'machine.delete', tagged: true },
        schema: {
          tags,
          summary: 'Forget a machine and its runs',
          params: Params,
          response: { 204: Type.Null(), 404: ErrorSchema, 409: ErrorSchema },
        },
      },
      async (request, reply) => {
        const mac = parseMac(request.params.mac)
        const checkTag = ifMatch(request, tagOf)
        const isDeleted = await deleteMachine(db, mac, (row, active) => {
          if (active) throw new ConflictError(tellActive(mac, active), 'run-active')
          checkTag?.(row)
        })
        if (!isDeleted) throw unknownMachine(mac)
        return reply.code(204).send(null)
      },
    )
  }
}

function unknownMachine(mac: string): NotFoundError {
  return new NotFoundError(`There is no machine with MAC ${mac}`)
}

/** Over what an operator edits; of a row or of the machine that is told of. */
function tagOf(machine: Partial<Record<keyof OperatorFields, unknown>>): string {
  const { name, hostname, image, locked, tags, disk, network } = machine
  const optional = [hostname, image, disk, network].map((value) => value ?? null)
  return entityTag({ name, locked, tags, optional })
}

/** What is absent gets its default. */
function fieldsOf(body: MachinePut, name: string) {
  return {
    name: body.name ?? name,
    hostname: body.hostname ?? null,
    image: body.image ?? null,
    locked: body.locked ?? false,
    tags: body.tags ?? [],
    disk: body.disk ?? null,
    network: body.network ?? null,
  }
}

/** The schema knows the shape of an address, not that it ends at 255. */
export function checkNetwork(network: NetworkSettings | null | undefined): void {
  if (!network) return
  try {
    parseIpv4Cidr(network.address)
    for (const address of [network.gateway ?? [], network.nameservers ?? []].flat())
      parseIpv4(address)
  } catch (cause) {
    throw new UnprocessableError(cause instanceof Error ? cause.message : String(cause))
  }
}
