import { resolve } from 'node:path'
import { ConfigError, type Env, readVariable as read } from './env.ts'
import type { NetworkConfig } from './network-config.ts'

export interface Endpoint {
  host: string
  port: number
}

export interface TlsConfig extends Endpoint {
  /** PEM: the certificate, and those between it and the root. */
  certPath: string
  keyPath: string
}

/** Absent without a certificate. */
export function readTls(env: Env, http: Endpoint): TlsConfig | undefined {
  const cert = read(env, 'STAMPEDE_TLS_CERT')
  const key = read(env, 'STAMPEDE_TLS_KEY')
  if (cert === undefined || key === undefined) {
    const stray = ['STAMPEDE_TLS_CERT', 'STAMPEDE_TLS_KEY', 'STAMPEDE_HTTPS'].find((name) =>
      read(env, name),
    )
    if (stray === undefined) return undefined
    const missing = cert === undefined ? 'STAMPEDE_TLS_CERT' : 'STAMPEDE_TLS_KEY'
    throw new ConfigError(`${stray} is set, which needs ${missing} too: the path of a PEM file`)
  }
  const endpoint = readEndpoint('STAMPEDE_HTTPS', env, '0.0.0.0:8443')
  if (endpoint.port !== 0 && endpoint.port === http.port)
    throw new ConfigError(
      `STAMPEDE_HTTPS and STAMPEDE_HTTP are both on port ${http.port}; plain HTTP stays for firmware, so choose another for HTTPS`,
    )
  return { ...endpoint, certPath: resolve(cert), keyPath: resolve(key) }
}

export function readEndpoint(name: string, env: Env, absent: string): Endpoint {
  const text = read(env, name) ?? absent
  const [, bracketed, plain, port] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  if (host === undefined || Number(port) > 65_535)
    throw new ConfigError(`${name} is "${text}" but must be address:port such as ${absent}`)
  return { host, port: Number(port) }
}

/** How machines reach us; it may depend on the port that is opened. */
export function readUrl(
  env: Env,
  http: Endpoint,
  network: NetworkConfig | undefined,
  dhcpOn: boolean,
): (openedPort: number) => string {
  const text = read(env, 'STAMPEDE_URL')
  if (text !== undefined) {
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (!url || !/^https?:$/.test(url.protocol) || url.pathname + url.search + url.hash !== '/')
      throw new ConfigError(
        `STAMPEDE_URL is "${text}" but must be like http://192.0.2.1:8080, without a path`,
      )
    return () => url.origin
  }
  const everywhere = ['0.0.0.0', '::'].includes(http.host)
  if (!everywhere && dhcpOn && http.host !== network?.cidr.address)
    throw new ConfigError(
      `STAMPEDE_HTTP listens on ${http.host} only, but machines on ${network?.interface} would be sent to ${network?.cidr.address}; set STAMPEDE_URL to where they reach it`,
    )
  const host = everywhere ? network?.cidr.address : http.host
  if (host === undefined)
    throw new ConfigError(
      'STAMPEDE_URL must say how machines reach this server, such as http://192.0.2.1:8080',
    )
  return (openedPort) =>
    new URL(`http://${host.includes(':') ? `[${host}]` : host}:${openedPort}`).origin
}
