/**
 * Everything a goal needs, done once: `node setup/main.mjs start|demo|test|initramfs|bench|client`.
 *
 * Plain JavaScript without dependencies: it runs before anything is installed, under whatever
 * Node (18 or later) the machine has. What is done already is not done again.
 */
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { installDebianPackages } from './debian-packages.mjs'
import { installClientGenerator, installNodePackages } from './node-packages.mjs'
import { buildWeb } from './web.mjs'

const GOALS = ['start', 'demo', 'test', 'initramfs', 'bench', 'client']
/** Those whose server somebody looks at. */
const NEED_WEB = ['start', 'demo', 'test']
const root = dirname(dirname(fileURLToPath(import.meta.url)))

function say(text) {
  console.log(`set-up: ${text}`)
}

function buildInitramfs() {
  const node = join(root, 'node_modules', '.bin', 'node')
  const { status } = spawnSync(node, ['initramfs/build.ts'], { cwd: root, stdio: 'inherit' })
  if (status !== 0) throw new Error('Building the initramfs failed; see its output above')
}

try {
  const goal = process.argv[2]
  if (!GOALS.includes(goal)) throw new Error(`Usage: node setup/main.mjs ${GOALS.join('|')}`)
  if (process.platform !== 'linux' || process.arch !== 'x64')
    throw new Error(`Stampede runs on Linux on x86-64, not on ${process.platform} ${process.arch}`)
  installDebianPackages(goal, say)
  installNodePackages(root, say)
  if (goal === 'test' || goal === 'client') installClientGenerator(root, say)
  if (NEED_WEB.includes(goal)) buildWeb(root, say)
  if (goal !== 'initramfs' && goal !== 'client') buildInitramfs()
} catch (error) {
  console.error(`set-up: ${error.message}`)
  process.exitCode = 1
}
