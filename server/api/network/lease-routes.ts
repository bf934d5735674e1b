import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from 'typebox'
import {
  formatIpv4Cidr,
  IPV4_PATTERN,
  isHostAddress,
  parseIpv4,
  type Ipv4,
  type Ipv4Cidr,
} from '#protocol/ipv4.ts'
import { LeaseSchema } from '#protocol/lease.ts'
import { parseMac, type Mac } from '#protocol/mac.ts'
import { ErrorSchema, Hostname, listOf, MacText } from '#protocol/shapes.ts'
import type { Database } from '#server/db/database.ts'
import { isUniqueViolation } from '#server/db/failures.ts'
import { findMachineMacs } from '#server/db/machines/machines.ts'
import { listLeases } from '#server/db/network/leases.ts'
import {
  deleteReservation,
  findReservation,
  listReservations,
  saveReservation,
  type ReservationRow,
} from '#server/db/network/reservations.ts'
import { ConflictError, NotFoundError, UnprocessableError } from '../http/errors.ts'
import { entityTag, ifMatch, sendTagged } from '../http/etag.ts'
import { pageOf, pageQuery } from '../http/paging.ts'

const Params = Type.Object({ mac: MacText })
const Address = Type.String({ pattern: IPV4_PATTERN, examples: ['192.0.2.20'] })
const ReservationSchema = Type.Object({
  mac: MacText,
  address: Address,
  hostname: Type.Optional(Hostname),
})
const ReservationPutSchema = Type.Object(
  { address: Address, hostname: Type.Optional(Hostname) },
  { additionalProperties: false },
)
const tags = ['dhcp']

export interface LeaseRoutesOptions {
  db: Database
  /** Our address and network, if it is we who give out addresses. */
  served?: Ipv4Cidr
}

export function leaseRoutes({ db, served }: LeaseRoutesOptions): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      '/leases',
      {
        schema: {
          tags,
          summary: 'List DHCP leases in the order of their addresses',
          querystring: Type.Object({
            /** Of the machine that has this card, on whichever of its cards. */
            mac: Type.Optional(MacText),
            ...pageQuery(IPV4_PATTERN),
          }),
          response: { 200: listOf(LeaseSchema) },
        },
      },
      async ({ query }) => {
        const { limit, after } = pageOf(query)
        return listLeases(db, {
          limit,
          after: after === undefined ? after : parseIpv4(after),
          ...(query.mac !== undefined && { macs: await cardsOf(db, parseMac(query.mac)) }),
        })
      },
    )

    app.get(
      '/reservations',
      {
        schema: {
          tags,
          summary: 'List addresses that only one machine gets',
          response: { 200: listOf(ReservationSchema) },
        },
      },
      async () => ({ items: (await listReservations(db)).map(toReservation), next: null }),
    )

    app.get(
      '/reservations/:mac',
      {
        config: { tagged: true },
        schema: {
          tags,
          summary: 'Read the reservation of a network card',
          params: Params,
          response: { 200: ReservationSchema, 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const mac = parseMac(request.params.mac)
        const found = await findReservation(db, mac)
        if (!found) throw noReservation(mac)
        return sendTagged(request, reply, tagOf(found), toReservation(found))
      },
    )

    app.put(
      '/reservations/:mac',
      {
        config: {
          access: 'operator',
          scope: 'network',
          audit: 'reservation.replace',
          tagged: true,
        },
        schema: {
          tags,
          summary: 'Reserve an address for a network card',
          params: Params,
          body: ReservationPutSchema,
          response: { 200: ReservationSchema, 409: ErrorSchema, 422: ErrorSchema },
        },
      },
      async (request, reply) => {
        const { params, body } = request
        const fields = { address: parseIpv4(body.address), hostname: body.hostname ?? null }
        if (served) refuseUnlessGivable(fields.address, served)
        const check = ifMatch(request, tagOf)
        try {
          const saved = await saveReservation(db, parseMac(params.mac), fields, check)
          return sendTagged(request, reply, tagOf(saved), toReservation(saved))
        } catch (err) {
          if (!isUniqueViolation(err)) throw err
          throw new ConflictError(
            `Address ${body.address} is reserved for another network card`,
            'address-reserved',
          )
        }
      },
    )

    app.delete(
      '/reservations/:mac',
      {
        config: { access: 'operator', scope: 'network', audit: 'reservation.delete', tagged: true },
        schema: {
          tags,
          summary: 'Give up a reservation',
          params: Params,
          response: { 204: Type.Null(), 404: ErrorSchema },
        },
      },
      async (request, reply) => {
        const mac = parseMac(request.params.mac)
        const check = ifMatch(request, tagOf)
        if (!(await deleteReservation(db, mac, check))) throw noReservation(mac)
        return reply.code(204).send(null)
      },
    )
  }
}

/** DHCP would pass over it without a word, and give the machine another. */
function refuseUnlessGivable(address: Ipv4, served: Ipv4Cidr): void {
  if (address !== served.address && isHostAddress(served, address)) return
  const why = address === served.address ? "this server's own" : 'not an address of a host there'
  throw new UnprocessableError(
    `DHCP gives out addresses of ${formatIpv4Cidr(served)}, and ${address} is ${why}; reserve another`,
    'address-not-served',
  )
}

/** A card that is no machine's may have a lease too. */
async function cardsOf(db: Database, mac: Mac): Promise<Mac[]> {
  const cards = await findMachineMacs(db, mac)
  return cards.length > 0 ? cards : [mac]
}

function noReservation(mac: string): NotFoundError {
  return new NotFoundError(`There is no reservation for ${mac}`)
}

function tagOf({ address, hostname }: ReservationRow): string {
  return entityTag({ address, hostname })
}

function toReservation({ mac, address, hostname }: ReservationRow) {
  return { mac, address, ...(hostname !== null && { hostname }) }
}
