import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import { openLabNetwork } from '#lab/network.ts'

const NEEDS_ROOT = process.getuid?.() === 0 ? false : 'network namespaces need root'

describe('lab network', { skip: NEEDS_ROOT }, () => {
  it('joins hosts to a bridge that the host machine does not see', async () => {
    await using network = await openLabNetwork({ subnet: '10.99.7.0/24' })
    assert.equal(network.address, '10.99.7.1')
    const host = await network.openHost({ address: '10.99.7.20/24' })
    await network.openHost()

    const ping = await host.run('ip', ['route', 'get', '10.99.7.1'])
    assert.match(ping, /dev eth0 src 10\.99\.7\.20/)
    const server = network.spawn(
      process.execPath,
      ['-e', 'require("net").createServer((s) => s.end("hi")).listen(7777, () => console.log(1))'],
      { stdio: 'pipe' },
    )
    await once(server.stdout!, 'data')
    const client = `require('net').connect(7777, '10.99.7.1').pipe(process.stdout)`
    assert.equal(await host.run(process.execPath, ['-e', client]), 'hi')
    assert.ok(!readdirSync('/sys/class/net').includes(network.bridge))
  })

  it('makes taps on the bridge', async () => {
    await using network = await openLabNetwork()
    const taps = [await network.openTap(), await network.openTap()]
    const ports = await network.run('ip', ['-o', 'link', 'show', 'master', network.bridge])
    for (const tap of taps) assert.match(ports, new RegExp(`\\b${tap}:`))
  })

  it('ends the programs inside and deletes its namespaces when it is disposed', async () => {
    const network = await openLabNetwork()
    const host = await network.openHost()
    const sleeper = host.spawn('sleep', ['600'])
    const ended = once(sleeper, 'exit')
    await once(sleeper, 'spawn')
    await network[Symbol.asyncDispose]()
    await ended
    for (const name of [network.namespace, host.namespace])
      assert.ok(!existsSync(`/run/netns/${name}`))
  })

  it('lets a program go on that waits for nothing but its end', async () => {
    const program = `
      import { openLabNetwork } from '#lab/network.ts'
      import { openForward } from '#lab/forward.ts'
      const network = await openLabNetwork()
      await openForward(network, 7777)
      await network[Symbol.asyncDispose]()
      console.log('on it goes')`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    child.stdout.on('data', (part: Buffer) => (text += part.toString()))
    const [exitCode] = (await once(child, 'close')) as [number]
    assert.deepEqual([text, exitCode], ['on it goes\n', 0])
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const)
    it(`leaves nothing behind after ${signal}`, async () => {
      const program = `
        import { openLabNetwork } from '#lab/network.ts'
        const network = await openLabNetwork()
        console.log(network.namespace)
        setInterval(() => {}, 1000)`
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const [name] = (await once(child.stdout, 'data')) as [Buffer]
      const path = `/run/netns/${name.toString().trim()}`
      assert.ok(existsSync(path))
      child.kill(signal)
      await once(child, 'exit')
      // A killed process can delete nothing: the next network does it.
      if (signal === 'SIGKILL') await (await openLabNetwork())[Symbol.asyncDispose]()
      assert.ok(!existsSync(path))
    })
})
