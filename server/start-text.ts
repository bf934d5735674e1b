import { formatIpv4Cidr } from '#protocol/ipv4.ts'
import type { App } from './app.ts'
import type { Config } from './config.ts'
import { describeDhcp } from './network/dhcp-service.ts'

export interface StartFacts {
  config: Config
  app: Pick<App, 'url' | 'tlsPort' | 'adminToken' | 'bootFileNames' | 'tftp'>
  /** Whether kernel and initramfs are there. */
  hasAgent: boolean
}

/** What an operator reads when the server has started. */
export function startText({ config, app, hasAgent }: StartFacts): string {
  const { network, database, dataFolder } = config
  const lines: [name: string, value: string][] = [
    ['URL', `${app.url} (API at ${app.url}/api/docs)`],
    ['HTTPS', describeTls(app)],
    ['Admin token', describeToken(app.adminToken)],
    ['Data folder', dataFolder],
    ['Database', database.kind === 'embedded' ? 'embedded, in the data folder' : 'Postgres'],
    ['Interface', network ? `${network.interface} (${formatIpv4Cidr(network.cidr)})` : 'none'],
    ['DHCP', describeDhcp(config.dhcp)],
    ['TFTP', app.tftp],
    ['Boot files', app.bootFileNames.join(', ') || NO_BOOT_FILES],
    ['Agent', hasAgent ? 'kernel and initramfs are there' : NO_AGENT],
  ]
  const width = Math.max(...lines.map(([name]) => name.length))
  return [
    'Stampede is ready',
    ...lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
  ].join('\n')
}

const NO_BOOT_FILES = 'none; install the Debian package "ipxe", or no machine can boot from here'
const NO_AGENT = 'no kernel or initramfs; build them with "npm run initramfs", or no run can start'

function describeTls({ url, tlsPort }: StartFacts['app']): string {
  if (tlsPort === undefined) return 'off; STAMPEDE_TLS_CERT and STAMPEDE_TLS_KEY turn it on'
  const { hostname } = new URL(url)
  return `https://${hostname}:${tlsPort}`
}

function describeToken({ token, path, isNew }: App['adminToken']): string {
  if (path === undefined) return 'from STAMPEDE_ADMIN_TOKEN'
  return isNew ? `${token} (shown this once, kept in ${path})` : `in ${path}`
}
