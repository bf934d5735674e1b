import { stat } from 'node:fs/promises'
import { join } from 'node:path'

export const AGENT_FILE_NAMES = ['kernel', 'initrd'] as const
export type AgentFileName = (typeof AGENT_FILE_NAMES)[number]

/** Where `npm run initramfs` puts what it builds. */
const BUILD_FOLDER = new URL('../build/initramfs', import.meta.url).pathname

/**
 * The kernel and initramfs that machines boot: those dropped into the data folder, else the built
 * ones. Looked up each time, since they may be built while we run.
 */
export async function findAgentFile(
  dataFolder: string,
  name: AgentFileName,
): Promise<string | undefined> {
  for (const folder of [join(dataFolder, 'boot'), BUILD_FOLDER]) {
    const path = join(folder, name)
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile()) return path
  }
  return undefined
}
