import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { LabNetwork } from './network.ts'

/**
 * Says on the bridge that it has no IPv6 addresses to give. The iPXE in network cards asks for them
 * beside its DHCP, and where nobody answers it waits a quarter of a minute at each start, busily.
 */
export async function openIpv6Router(
  network: LabNetwork,
  folder: string,
): Promise<AsyncDisposable> {
  const configuration = path.join(folder, 'radvd.conf')
  await writeFile(
    configuration,
    `interface ${network.bridge} { AdvSendAdvert on; AdvDefaultLifetime 0; };\n`,
  )
  const files = ['--config', configuration, '--pidfile', path.join(folder, 'radvd.pid')]
  const radvd = network.spawn('radvd', ['--nodaemon', '--logmethod', 'none', ...files], {
    stdio: 'ignore',
  })
  await once(radvd, 'spawn')
  return {
    async [Symbol.asyncDispose]() {
      if (radvd.exitCode !== null || radvd.signalCode !== null) return
      const ended = once(radvd, 'exit')
      radvd.kill('SIGKILL')
      await ended
    },
  }
}
