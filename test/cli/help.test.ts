import assert from 'node:assert/strict'
import { readdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execFileSync } from 'node:child_process'
import type { Command } from 'commander'
import { createProgram } from '../../cli/program.ts'
import { LAUNCHER, createShell, type Shell } from './stampede.ts'

/** Nothing listens here. */
const NO_PORT = 9

describe('the command stampede', () => {
  let shell: Shell
  before(() => void (shell = createShell(NO_PORT)))
  after(() => shell[Symbol.dispose]())

  it('runs by a link from elsewhere, where no Node is in the PATH', () => {
    const link = join(shell.home, 'stampede')
    symlinkSync(LAUNCHER, link)
    const version = execFileSync(link, ['--version'], { env: { PATH: '/usr/bin:/bin' } })
    assert.match(version.toString(), /^\d+\.\d+\.\d+\n$/)
  })

  it('keeps nothing where it happens to run, whatever folder of caches is named', async () => {
    using own = createShell(NO_PORT)
    for (const XDG_CACHE_HOME of ['', 'relative'])
      await own.run(['--version'], { env: { XDG_CACHE_HOME, NODE_COMPILE_CACHE: '' } })
    assert.deepEqual(readdirSync(own.home), ['.cache'])
  })

  it('every command says what it does, and shows an example', () => {
    const visit = (command: Command): Command[] => [command, ...command.commands.flatMap(visit)]
    const leaves = visit(createProgram(AbortSignal.timeout(60_000))).filter(
      (command) => command.commands.length === 0 && !command.name().startsWith('__'),
    )
    assert.ok(leaves.length > 40, `${leaves.length} commands`)
    for (const command of leaves) {
      let text = ''
      command.configureOutput({ writeOut: (part) => (text += part) })
      command.outputHelp()
      assert.ok(command.description(), command.name())
      const inList = command.summary() || command.description()
      assert.match(inList, /^[A-Z“"].*[^.]$/s, `${command.name()}: ${inList}`)
      assert.match(text, /Examples:\n {2}\$ .*stampede/, command.name())
    }
  })

  it('ends with 2 for what it does not understand, and says it in a sentence', async () => {
    for (const args of [
      ['machines', 'lss'],
      ['machines', 'show'],
      ['machines', 'ls', '--frob'],
      ['machines', 'ls', '--state', 'broken'],
      ['completion', 'fish'],
    ]) {
      const { code, stdout, stderr } = await shell.run(args)
      assert.equal(code, 2, args.join(' '))
      assert.match(stderr, /^Error: [A-Z-]/, args.join(' '))
      assert.equal(stdout, '')
    }
  })

  it('ends with 5 when the server does not answer, without a stack trace', async () => {
    const env = { STAMPEDE_SERVER: 'http://127.0.0.1:4' }
    const { code, stderr } = await shell.run(['machines', 'ls'], { env })
    assert.equal(code, 5)
    assert.match(stderr, /^Error: No answer from http:\/\/127\.0\.0\.1:4: nothing listens there/)
    assert.doesNotMatch(stderr, / at |node:/)
  })

  it('ends with 4 when nobody is signed in, and says how', async () => {
    const { code, stderr } = await shell.run(['machines', 'ls'], { signedOut: true })
    assert.equal(code, 4)
    assert.match(stderr, /run "stampede login/)
  })

  it('says that its output finds no room, as on a full disk', () => {
    const command = `'${LAUNCHER}' completion bash 2>&1 >/dev/full; echo "$?"`
    const output = execFileSync('bash', ['-c', command]).toString()
    assert.match(output, /^Error: What goes to standard output cannot be written: its disk is full/)
    assert.match(output, /\n1\n$/)
  })

  it('ends quietly when the reader of its output has enough', () => {
    const command = `'${LAUNCHER}' completion bash | head -n 1; echo "\${PIPESTATUS[0]}"`
    const output = execFileSync('bash', ['-c', command]).toString()
    assert.match(output, /^# Completion of stampede for bash\.\n0\n$/)
  })
})
