import type { FastifyBaseLogger } from 'fastify'
import { AUTOEXEC_NAME, type BootFiles } from './boot-files.ts'
import type { BootProgress } from './boot-progress.ts'
import type { NetworkConfig } from '../settings/network-config.ts'
import type { Metrics } from '../metrics.ts'
import { ServiceError } from '../service-error.ts'
import { openTftpServer } from '../tftp/tftp-server.ts'

export interface TftpOptions {
  network: NetworkConfig
  bootFiles: BootFiles
  boots: BootProgress
  metrics: Metrics
  log: FastifyBaseLogger
}

/** TFTP on the interface's address. Throws ServiceError. */
export async function openTftp(options: TftpOptions): Promise<AsyncDisposable> {
  const { network, bootFiles, boots, metrics, log } = options
  const { address } = network.cidr
  try {
    return await openTftpServer({
      address,
      files: () => bootFiles.files(),
      log,
      onSeen({ address: client, fileName, found }) {
        metrics.tftpRequests.inc()
        // iPXE asks for its script by this name, after firmware has loaded it.
        if (found && fileName !== AUTOEXEC_NAME)
          boots.file(client, { stage: 'loader', detail: `${fileName} by TFTP` })
      },
    })
  } catch (cause) {
    throw new ServiceError(cause instanceof Error ? cause.message : String(cause), { cause })
  }
}
