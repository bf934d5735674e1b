import { Type, type Static } from 'typebox'
import { MacText, Timestamp } from './shapes.ts'

/** How this server meets machines: what an operator needs to set up another DHCP server beside it. */

const Address = Type.String({ examples: ['192.0.2.1'] })

export const NetworkStatusSchema = Type.Object({
  /** How machines reach this server. */
  url: Type.String({ examples: ['http://192.0.2.1:8080'] }),
  /** Where DHCP and TFTP answer; null: nowhere. */
  interface: Type.Union([Type.String(), Type.Null()]),
  /** All of this host that have an IPv4 address, the loopback left out. */
  interfaces: Type.Array(
    Type.Object({
      name: Type.String(),
      mac: MacText,
      address: Address,
      /** Length of the network's prefix. */
      prefix: Type.Integer({ minimum: 0, maximum: 32 }),
    }),
  ),
  dhcp: Type.Object({
    mode: Type.Enum(['server', 'proxy', 'off']),
    /** What follows is of mode `server`. Both ends of the range belong to it. */
    range: Type.Optional(Type.Object({ first: Address, last: Address })),
    router: Type.Optional(Address),
    dns: Type.Array(Address),
    leaseSeconds: Type.Optional(Type.Integer()),
    /** Addresses of the range; `reserved` ones are not leased at the moment. */
    pool: Type.Optional(
      Type.Object({
        size: Type.Integer(),
        leased: Type.Integer(),
        declined: Type.Integer(),
        reserved: Type.Integer(),
        free: Type.Integer(),
      }),
    ),
  }),
  /** Other DHCP servers that were heard on the network, latest first. */
  otherServers: Type.Array(
    Type.Object({ address: Address, firstHeardAt: Timestamp, lastHeardAt: Timestamp }),
  ),
  /** Where TFTP answers, or why it does not, for people. */
  tftp: Type.String({ examples: ['192.0.2.1 port 69'] }),
  /** What firmware can be told to load. */
  bootFiles: Type.Array(Type.String()),
  /** What happens to machines that nobody entered. */
  unknown: Type.Enum(['inventory', 'local', 'ignore']),
})
export type NetworkStatus = Static<typeof NetworkStatusSchema>
