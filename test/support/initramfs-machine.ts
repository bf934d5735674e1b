import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { acceleration } from '#lab/acceleration.ts'
import { createConsole } from '#lab/console.ts'
import type { Console } from '#lab/console.ts'

/** Where a machine with QEMU's user-mode network finds servers of this host's loopback. */
const HOST_FROM_INSIDE = '10.0.2.2'
const BODY_LIMIT_BYTES = 1024 * 1024

export interface InitramfsMachineOptions {
  /** Holds `kernel` and `initrd`, and what the machine leaves. */
  folder: string
  arguments: string[]
  /** More arguments for QEMU: network cards and disks. */
  devices: string[]
  memoryMib: number
}

export interface InitramfsMachine extends AsyncDisposable {
  console: Console
  /** Fulfilled when the machine has rebooted or powered off: it starts once only. */
  ended: Promise<void>
}

/** Starts kernel and initramfs without firmware, in QEMU's user-mode network: needs no root. */
export async function openInitramfsMachine(
  options: InitramfsMachineOptions,
): Promise<InitramfsMachine> {
  const { folder, devices, memoryMib } = options
  const file = path.join(folder, 'console.log')
  await using output = await open(file, 'w')
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ['-accel', await acceleration(), '-m', String(memoryMib), '-smp', '1', '-no-reboot'],
      ['-machine', 'q35', '-nodefaults', '-display', 'none', '-vga', 'std'],
      ['-chardev', 'stdio,id=c0,signal=off', '-monitor', 'none'],
      ['-serial', 'chardev:c0', '-netdev', 'user,id=net0'],
      ['-kernel', path.join(folder, 'kernel'), '-initrd', path.join(folder, 'initrd')],
      ['-append', options.arguments.join(' ')],
      devices,
    ].flat(),
    { stdio: ['pipe', output.fd, 'inherit'] },
  )
  await once(qemu, 'spawn')
  const ended = once(qemu, 'exit').then(() => undefined)
  // Typing to a machine that is ending is no error; waiting for its answer tells.
  qemu.stdin!.on('error', () => undefined)
  const hasEnded = () => qemu.exitCode !== null || qemu.signalCode !== null
  const serial = createConsole({ name: 'initramfs', file, input: qemu.stdin!, hasEnded })
  return {
    console: serial,
    ended,
    async [Symbol.asyncDispose]() {
      if (!hasEnded()) qemu.kill('SIGKILL')
      await ended
    },
  }
}

export interface HelloServer extends AsyncDisposable {
  /** As a machine sees it. */
  url: string
  /** The first request with a body: its path and that. */
  hello: Promise<{ path: string; body: Record<string, unknown> }>
}

/** Waits for one POST of JSON, whatever its path, and answers each request with `answer`. */
export async function openHelloServer(answer: unknown): Promise<HelloServer> {
  const { promise: hello, resolve, reject } = Promise.withResolvers<Awaited<HelloServer['hello']>>()
  const server = createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part
      if (text.length > BODY_LIMIT_BYTES) request.destroy()
    })
    request.on('end', () => {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(answer))
      if (request.method !== 'POST') return
      try {
        resolve({ path: request.url ?? '', body: JSON.parse(text) as Record<string, unknown> })
      } catch (err) {
        reject(err as Error)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${HOST_FROM_INSIDE}:${port}`,
    hello,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
