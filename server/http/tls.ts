import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import { createSecureContext } from 'node:tls'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { tuneServer } from '../api/create-http.ts'
import { ConfigError } from '../settings/env.ts'
import type { TlsConfig } from '../settings/http-config.ts'

/** Certificates of today are renewed every few weeks, and nobody restarts a server for that. */
const LOOK_MILLISECONDS = 3_600_000

interface TlsFiles {
  cert: Buffer
  key: Buffer
}

export interface TlsServer extends AsyncDisposable {
  server: Server
  /** Takes the files as they are now; whoever is connected notices nothing. */
  reload(): Promise<void>
}

/**
 * HTTPS with the routes of `http`, not listening yet; plain HTTP stays beside it, since firmware speaks
 * nothing else. Throws ConfigError.
 */
export async function openTls(
  config: TlsConfig,
  { http, log }: { http: FastifyInstance; log: FastifyBaseLogger },
): Promise<TlsServer> {
  let files = await readTlsFiles(config)
  const server = createServer({ ...files }, (request, response) => http.routing(request, response))
  tuneServer(server)

  async function reload(): Promise<void> {
    try {
      const present = await readTlsFiles(config)
      if (present.cert.equals(files.cert) && present.key.equals(files.key)) return
      server.setSecureContext({ ...present })
      files = present
      log.info({ path: config.certPath }, 'Took a new certificate')
    } catch (err) {
      log.warn({ err }, 'The new certificate is no good, going on with the one before')
    }
  }

  const timer = setInterval(() => void reload(), LOOK_MILLISECONDS).unref()
  return {
    server,
    reload,
    async [Symbol.asyncDispose]() {
      clearInterval(timer)
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      await closed
    },
  }
}

async function readTlsFiles({ certPath, keyPath }: TlsConfig): Promise<TlsFiles> {
  const cert = await readPem('STAMPEDE_TLS_CERT', certPath)
  const key = await readPem('STAMPEDE_TLS_KEY', keyPath)
  try {
    createSecureContext({ cert, key })
  } catch (cause) {
    throw new ConfigError(
      `STAMPEDE_TLS_CERT "${certPath}" and STAMPEDE_TLS_KEY "${keyPath}" are no certificate with its key in PEM (${reasonOf(cause)})`,
      { cause },
    )
  }
  return { cert, key }
}

async function readPem(name: string, path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new ConfigError(`${name} is "${path}" which cannot be read (${reasonOf(cause)})`, {
      cause,
    })
  }
}

function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
