import { mkdtempDisposable, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exec } from '#agent/exec.ts'

/**
 * Runs work whose program of this name has done its own, and does not end before the work was cancelled: so
 * that a cancel comes between what a program did and what is known of it.
 */
export async function cancelAfter(
  program: string,
  isDone: () => Promise<boolean>,
  run: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const real = await pathOf(program)
  await using folder = await mkdtempDisposable(join(tmpdir(), 'stampede-held-'))
  const over = join(folder.path, 'over')
  const script = `#!/bin/sh\n${real} "$@" && until test -e ${over}; do sleep 0.01; done\n`
  await writeFile(join(folder.path, program), script, { mode: 0o755 })
  using _inFront = putInFront(folder.path)
  const cancel = new AbortController()
  let isOver = false
  // What becomes of a cancel is up to whoever asked.
  const work = run(cancel.signal)
    .catch(() => {})
    .finally(() => (isOver = true))
  while (!isOver && !(await isDone())) await sleep(5)
  if (isOver) throw new Error(`The work was over before ${program} had done its own`)
  cancel.abort(new Error('Cancelled'))
  await writeFile(over, '')
  await work
}

export async function pathOf(program: string): Promise<string> {
  const { stdout } = await exec('sh', ['-c', `command -v ${program}`])
  return stdout.trim()
}

/** Programs of this folder are taken before those of the same name. */
function putInFront(folder: string): Disposable {
  const before = process.env['PATH']
  process.env['PATH'] = `${folder}:${before}`
  return { [Symbol.dispose]: () => void (process.env['PATH'] = before) }
}
