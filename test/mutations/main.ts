import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtempDisposable, readFile, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { MUTATIONS, type Mutation } from './mutations.ts'

// Takes each safety rule out of a copy of the code and says which tests notice: `npm run test:mutations`, or
// with a part of a name, `npm run test:mutations -- read-only`. Ends with 1 if one is noticed by nobody.

const ROOT = resolve(import.meta.dirname, '../..')
const LEFT_OUT = new Set(['.git', 'node_modules', 'build', 'data'])
const TEST_MINUTES = 10

async function copyTree(to: string): Promise<void> {
  const filter = (path: string) => path === ROOT || !LEFT_OUT.has(basename(path))
  await cp(ROOT, to, { recursive: true, filter })
  await symlink(join(ROOT, 'node_modules'), join(to, 'node_modules'))
}

interface Outcome {
  passed: boolean
  output: string
}

async function runTest(tree: string, test: string, pattern: string | undefined): Promise<Outcome> {
  const only = pattern === undefined ? [] : ['--test-name-pattern', pattern]
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, ['--test', ...only, test], {
    cwd: tree,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TEST_MINUTES * 60_000,
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text) => (output = (output + String(text)).slice(-20_000)))
  const [exitCode] = (await once(child, 'close')) as [number | null]
  return { passed: exitCode === 0, output }
}

/** What the tests say of the code as it is: one that fails anyway notices nothing. */
async function isSound(tree: string, { tests, pattern }: Mutation): Promise<boolean> {
  for (const test of tests) {
    const { passed, output } = await runTest(tree, test, pattern)
    if (passed && /^ℹ pass [1-9]/m.test(output)) continue
    console.log(`${test} fails, or has no such test, on the code as it is:\n${output}`)
    return false
  }
  return true
}

async function isNoticed(tree: string, mutation: Mutation): Promise<boolean> {
  const { file, text, replacement, tests, pattern } = mutation
  const path = join(tree, file)
  const source = await readFile(path, 'utf8')
  const parts = source.split(text)
  if (parts.length !== 2) throw new Error(`Not once in ${file}: ${text}`)
  await writeFile(path, parts.join(replacement))
  try {
    for (const test of tests) {
      const { passed, output } = await runTest(tree, test, pattern)
      // A file that does not load would fail without looking.
      const isOurs = /SyntaxError|ERR_INVALID_TYPESCRIPT|ERR_MODULE_NOT_FOUND/.test(output)
      if (passed || isOurs) {
        console.log(`${test} ${isOurs ? 'does not load' : 'passes'} without: ${mutation.without}`)
        return false
      }
    }
    return true
  } finally {
    await writeFile(path, source)
  }
}

const wanted = process.argv[2] ?? ''
await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-mutations-'))
const tree = join(folder.path, 'tree')
await copyTree(tree)
const chosen = MUTATIONS.filter(
  ({ rule, without }) => without.includes(wanted) || String(rule) === wanted,
)
let unnoticed = 0
for (const mutation of chosen) {
  const noticed = (await isSound(tree, mutation)) && (await isNoticed(tree, mutation))
  if (!noticed) unnoticed++
  const { rule, without, tests } = mutation
  console.log(
    `${noticed ? 'noticed  ' : 'UNNOTICED'}  rule ${rule}, without: ${without}  (${tests.join(', ')})`,
  )
}
console.log(`${chosen.length - unnoticed} of ${chosen.length} mutations are noticed`)
process.exitCode = unnoticed === 0 ? 0 : 1
