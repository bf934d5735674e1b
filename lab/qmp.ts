import { connect } from 'node:net'
import { createInterface } from 'node:readline'

/** Longest time that QEMU may take to answer one command. */
const ANSWER_TIMEOUT_MS = 20_000

type Message = { return?: unknown; error?: { desc: string }; QMP?: unknown; event?: string }

/**
 * Gives QEMU one command over its machine protocol (docs/interop/qmp-spec.txt), in a connection of
 * its own: greeting, capabilities, command, answer.
 */
export async function qmp(
  socketPath: string,
  execute: string,
  args: Record<string, unknown> = {},
): Promise<unknown> {
  const socket = connect(socketPath)
  socket.setTimeout(ANSWER_TIMEOUT_MS, () => {
    socket.destroy(new Error(`QEMU did not answer "${execute}" in ${ANSWER_TIMEOUT_MS / 1000} s`))
  })
  const failed = new Promise<never>((_, reject) => socket.once('error', reject))
  try {
    return await Promise.race([failed, converse()])
  } finally {
    failed.catch(() => undefined)
    socket.destroy()
  }

  async function converse(): Promise<unknown> {
    let answers = 0
    for await (const line of createInterface({ input: socket })) {
      const message = JSON.parse(line) as Message
      if (message.event) continue
      if (message.error) throw new Error(`QEMU refused "${execute}": ${message.error.desc}`)
      if (message.QMP) socket.write(`${JSON.stringify({ execute: 'qmp_capabilities' })}\n`)
      else if (answers++ === 0) socket.write(`${JSON.stringify({ execute, arguments: args })}\n`)
      else return message.return
    }
    throw new Error(`QEMU closed the connection before it answered "${execute}"`)
  }
}
