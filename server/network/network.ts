import { join } from 'node:path'
import type { FastifyBaseLogger } from 'fastify'
import { NoBootFilesError, openBootFiles, type BootFiles } from './boot-files.ts'
import type { BootProgress } from './boot-progress.ts'
import type { Config } from '../config.ts'
import type { Database } from '../db/database.ts'
import { openDhcp } from './dhcp-service.ts'
import type { Metrics } from '../metrics.ts'
import { ServiceError } from '../service-error.ts'
import { openTftp } from './tftp-service.ts'

export interface NetworkOptions {
  config: Config
  url: string
  db: Database
  boots: BootProgress
  metrics: Metrics
  log: FastifyBaseLogger
  now: () => Date
}

export interface Network extends AsyncDisposable {
  /** Absent only with DHCP off. */
  bootFiles: BootFiles | undefined
  /** Where TFTP answers, or why it does not, for people. */
  tftp: string
}

/**
 * What machines meet before HTTP: boot files, TFTP and DHCP. What is missing is fatal, unless DHCP is
 * off: then machines come from elsewhere, and may need none of it.
 */
export async function openNetwork(options: NetworkOptions): Promise<Network> {
  await using opened = new AsyncDisposableStack()
  const { config, url, log } = options
  const { network, dhcp } = config
  const isOptional = dhcp.mode === 'off'

  const folder = join(config.dataFolder, 'boot')
  const bootFiles = await openBootFiles({ folder, url }).catch((err: unknown) => {
    if (!isOptional || !(err instanceof NoBootFilesError)) throw err
    return undefined
  })

  let tftp = 'off'
  if (network && bootFiles && config.tftp) {
    const server = await openTftp({ ...options, network, bootFiles }).catch((err: unknown) => {
      if (!isOptional || !(err instanceof ServiceError)) throw err
      log.warn(err.message)
      return err.message
    })
    if (typeof server === 'string') tftp = server
    else {
      opened.use(server)
      tftp = `${network.cidr.address} port 69`
    }
  }

  if (network && bootFiles && dhcp.mode !== 'off')
    opened.use(await openDhcp({ ...options, network, dhcp, bootFiles: () => bootFiles.names() }))

  const resources = opened.move()
  return { bootFiles, tftp, [Symbol.asyncDispose]: () => resources.disposeAsync() }
}
