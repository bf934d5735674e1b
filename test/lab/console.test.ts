import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createConsole } from '#lab/console.ts'

/** A shell stands in for the machine: it reads what is typed and prints to the console's file. */
async function openShell(folder: string, name: string) {
  const file = path.join(folder, name)
  await using output = await open(file, 'w')
  const shell = spawn('sh', [], { stdio: ['pipe', output.fd, output.fd] })
  const console = createConsole({
    name,
    file,
    input: shell.stdin!,
    hasEnded: () => shell.exitCode !== null,
  })
  return { console, [Symbol.dispose]: () => void shell.kill() }
}

describe('console', () => {
  let folder: string
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'stampede-console-'))
  })
  after(() => rm(folder, { recursive: true }))

  it('passes each output once and leaves escape sequences out', async () => {
    using machine = await openShell(folder, 'once')
    machine.console.send("printf '\\033[1;31mready\\033[0m\\n'; sleep 0.2; echo ready again\n")
    await machine.console.waitFor(/^ready\n/m, { deadlineMs: 60_000 })
    const [match] = await machine.console.waitFor(/ready.*/, { deadlineMs: 60_000 })
    assert.equal(match, 'ready again')
  })

  it('past the deadline shows the end of the console', async () => {
    using machine = await openShell(folder, 'late')
    machine.console.send('echo last words\n')
    await assert.rejects(
      machine.console.waitFor(/never/, { deadlineMs: 500 }),
      /Machine "late": in 0\.5 s did not print \/never\/; its console ends:\nlast words$/,
    )
  })

  it('does not wait for a machine that has ended or failed', async () => {
    using ended = await openShell(folder, 'ended')
    ended.console.send('echo done; exit\n')
    await assert.rejects(ended.console.waitFor(/never/, { deadlineMs: 60_000 }), /ended while/)

    using failed = await openShell(folder, 'failed')
    failed.console.send('echo Kernel panic\n')
    const options = { deadlineMs: 60_000, failOn: /panic/ }
    await assert.rejects(failed.console.waitFor(/never/, options), /failed while/)
  })

  it('returns what a command printed, and throws if it failed', async () => {
    using machine = await openShell(folder, 'shell')
    assert.equal(await machine.console.shell('echo one; echo two'), 'one\ntwo\n')
    await assert.rejects(
      machine.console.shell('echo broken; false'),
      /Command "echo broken; false" on machine "shell" ended with 1:\nbroken/,
    )
  })
})
