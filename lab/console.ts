import { readFile, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'

const POLL_MS = 100
/** How much of the console an error shows. */
const TAIL_LINES = 40
const SHELL_DEADLINE_MS = 60_000
const LOGIN_DEADLINE_MS = 240_000

export type WaitOptions = {
  deadlineMs: number
  /** Text that means that the wait is in vain. */
  failOn?: RegExp
}

export type Console = {
  /** The file that QEMU writes all output to. */
  file: string
  /** All that was printed so far, without escape sequences. */
  text: () => Promise<string>
  tail: (lines?: number) => Promise<string>
  /**
   * Waits for output that no earlier wait has passed, and passes it. Past the deadline, or when
   * the machine ends, it throws with the end of the console.
   */
  waitFor: (pattern: RegExp, options: WaitOptions) => Promise<RegExpExecArray>
  /** Types on the serial line. */
  send: (text: string) => void
  /** Waits for the login prompt and logs in as root. */
  login: (password: string, options?: { deadlineMs?: number }) => Promise<void>
  /** Runs a command in the shell after `login` and returns what it printed. Throws if it fails. */
  shell: (command: string, options?: { deadlineMs?: number }) => Promise<string>
}

/** Where a machine's serial line goes, and whether the machine is still there. */
type ConsoleSource = { name: string; file: string; input: Writable; hasEnded: () => boolean }

export function createConsole(source: ConsoleSource): Console {
  const { name, file } = source
  let position = 0
  let commands = 0

  async function text(): Promise<string> {
    return withoutEscapes(await readFile(file, 'utf8').catch(() => ''))
  }

  async function tail(lines = TAIL_LINES): Promise<string> {
    const all = (await text()).split('\n').filter((line) => line.trim() !== '')
    return all.slice(-lines).join('\n')
  }

  async function failure(reason: string, pattern: RegExp): Promise<Error> {
    const end = await tail()
    return new Error(`Machine "${name}": ${reason} ${String(pattern)}; its console ends:\n${end}`)
  }

  async function waitFor(pattern: RegExp, options: WaitOptions): Promise<RegExpExecArray> {
    const deadline = Date.now() + options.deadlineMs
    let seenBytes = -1
    for (;;) {
      // Asked before the look at the console, so that its last words are not missed.
      const ended = source.hasEnded()
      const size = (await stat(file).catch(() => undefined))?.size ?? 0
      if (size !== seenBytes) {
        seenBytes = size
        const output = (await text()).slice(position)
        const match = pattern.exec(output)
        if (match) {
          position += match.index + match[0].length
          return match
        }
        if (options.failOn?.test(output)) throw await failure('failed while waiting for', pattern)
      } else if (ended) throw await failure('ended while waiting for', pattern)
      if (Date.now() > deadline)
        throw await failure(`in ${options.deadlineMs / 1000} s did not print`, pattern)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
  }

  function send(typed: string): void {
    source.input.write(typed)
  }

  return {
    file,
    text,
    tail,
    waitFor,
    send,
    async login(password, { deadlineMs = LOGIN_DEADLINE_MS } = {}) {
      await waitFor(/ login: $/, { deadlineMs, failOn: /Kernel panic|No bootable device/ })
      send('root\n')
      await waitFor(/Password: $/, { deadlineMs: SHELL_DEADLINE_MS })
      send(`${password}\n`)
      await waitFor(/# $/, { deadlineMs: SHELL_DEADLINE_MS })
      send(
        `stty -echo; dmesg -n 1; PS1= PAGER=cat SYSTEMD_PAGER=; export PAGER SYSTEMD_PAGER; echo log''ged-in\n`,
      )
      await waitFor(/logged-in\r?\n/, { deadlineMs: SHELL_DEADLINE_MS })
    },
    async shell(command, { deadlineMs = SHELL_DEADLINE_MS } = {}) {
      const marker = `lab-${++commands}`
      send(`echo ${marker}-begin; ${command}\necho ${marker}-end $?\n`)
      const pattern = new RegExp(`${marker}-begin\\r?\\n([^]*?)${marker}-end (\\d+)\\r?\\n`)
      const [, output = '', code] = await waitFor(pattern, { deadlineMs })
      if (code !== '0')
        throw new Error(`Command "${command}" on machine "${name}" ended with ${code}:\n${output}`)
      return output.replaceAll('\r', '')
    },
  }
}

/** Firmware paints its screens with cursor movements; a reader and a pattern want the text. */
function withoutEscapes(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\x1b(?:\[[0-9;?=]*[A-Za-z]|[()][0-9A-Za-z]|[=>c78])|\0/g, '')
}
