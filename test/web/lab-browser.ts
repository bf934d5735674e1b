import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Lab } from '#lab/scenario.ts'
import { CHROMIUM, openBrowser, type TestBrowser } from './browser.ts'

/**
 * A browser on the lab's own network, where it reaches the server by its address on the bridge: for
 * browsers no secure context, as on every LAN without HTTPS. Close it before the lab.
 */
export async function openLabBrowser(lab: Lab): Promise<TestBrowser> {
  const program = path.join(lab.folder, 'chromium-inside')
  const inside = `exec ip netns exec ${lab.network.namespace} ${CHROMIUM} "$@"`
  await writeFile(program, `#!/bin/sh\n${inside}\n`, { mode: 0o755 })
  return openBrowser(program)
}
