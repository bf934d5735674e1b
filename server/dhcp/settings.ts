import type { Ipv4, Ipv4Cidr, Ipv4Range } from '#protocol/ipv4.ts'
import type { BootFileRequest } from '#server/boot/boot-file.ts'

/** What we say about the way to the next program, in both modes. */
export interface BootSettings {
  /** How machines reach us by HTTP: `http://10.0.0.1:8080`. */
  serverUrl: string
  /** Names of the boot files that exist. */
  bootFiles: ReadonlySet<string>
  preferred?: BootFileRequest['preferred']
}

/** What mode `server` gives to machines. */
export interface PoolSettings {
  range: Ipv4Range
  router?: Ipv4
  nameServers: readonly Ipv4[]
  leaseSeconds: number
}

export interface ProxySettings {
  /** Our address: server identifier and TFTP server. */
  address: Ipv4
  boot: BootSettings
}

export interface ServerSettings extends ProxySettings {
  /** The network of the interface, and so of everything in the pool. */
  network: Ipv4Cidr
  pool: PoolSettings
}
