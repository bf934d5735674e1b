import type { FastifyBaseLogger } from 'fastify'
import type { BootFiles } from './boot-files.ts'
import type { NetworkConfig } from './config.ts'
import type { Metrics } from './metrics.ts'
import { ServiceError } from './service-error.ts'
import { openTftpServer } from './tftp/tftp-server.ts'

export interface TftpOptions {
  network: NetworkConfig
  bootFiles: BootFiles
  metrics: Metrics
  log: FastifyBaseLogger
}

/** TFTP on the interface's address. Throws ServiceError. */
export async function openTftp(options: TftpOptions): Promise<AsyncDisposable> {
  const { network, bootFiles, metrics, log } = options
  const { address } = network.cidr
  try {
    return await openTftpServer({
      address,
      files: () => bootFiles.files(),
      log,
      onSeen: () => metrics.tftpRequests.inc(),
    })
  } catch (cause) {
    throw new ServiceError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
