import type { Mac } from '#protocol/mac.ts'

/** Settings for the card with this MAC address, whatever the deployed system calls it. */
export type StaticNetwork = {
  mac: Mac
  /** CIDR. */
  address: string
  gateway?: string
  nameservers: readonly string[]
}

/** A file to write into the deployed system. */
export type ConfigFile = { path: string; text: string; mode: number }

export const CONFIG_HEADER =
  '# Written by Stampede when it deployed this machine. Change it as you like.'
