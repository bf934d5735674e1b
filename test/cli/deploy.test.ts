import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Plan } from '#protocol/run/plan.ts'
import type { Run } from '#protocol/run/run.ts'
import { createDisk, createInventory } from '#test/support/inventory.ts'
import { addImage } from '#test/support/named-image.ts'
import { bootToken, hello, startAgent } from '#test/support/test-agent.ts'
import { openTestApp, type TestApp } from '#test/support/test-app.ts'
import { openCutProxy } from './cut-proxy.ts'
import { createShell, type Shell } from './stampede.ts'

describe('stampede plan, deploy and runs', () => {
  let app: TestApp
  let shell: Shell
  let count = 0
  before(async () => {
    app = await openTestApp({ realTime: true, env: { STAMPEDE_TRUST_RELAYED: '1' } })
    shell = createShell(app.port)
    await addImage(app, 'debian-13', { sizeBytes: 1_073_741_824 })
  })
  after(async () => {
    shell[Symbol.dispose]()
    await app[Symbol.asyncDispose]()
  })

  let mac: string
  let name: string
  /** A machine with an inventory, that nothing is to be done with. */
  async function addMachine(): Promise<{ mac: string; name: string }> {
    const number = ++count
    const made = {
      mac: `52:54:00:00:01:${number.toString(16).padStart(2, '0')}`,
      name: `node${number}`,
    }
    await hello(app, made.mac, await bootToken(app, made.mac))
    await app.call('PATCH', `/api/machines/${made.mac}`, { name: made.name, tags: ['rack'] })
    return made
  }
  beforeEach(async () => {
    ;({ mac, name } = await addMachine())
  })
  const runsOf = async (of: string) =>
    (await app.call<{ items: Run[] }>('GET', `/api/runs?mac=${of}&workflow=deploy`)).body.items
  const deploy = (...more: string[]) => ['deploy', name, '--image', 'debian-13', ...more]

  it('a plan tells the disk, what is lost and whether it fits, and starts nothing', async () => {
    const { code, stdout } = await shell.run(['plan', name, '--image', 'debian-13'])
    assert.equal(code, 0)
    assert.match(stdout, /target disk {2}\/dev\/vda \(serial disk-1, 21\.5 GB\)/)
    assert.match(stdout, /fit +1\.1 GB on 21\.5 GB/)
    const json = await shell.run(['plan', name, '--image', 'debian-13', '--json'])
    const plan = JSON.parse(json.stdout) as Plan
    assert.equal(plan.items[0]!.mac, mac)
    const { body } = await app.call<Plan>('GET', `/api/plans/${plan.id}`)
    assert.deepEqual(plan, body)
    assert.deepEqual(await runsOf(mac), [])
  })

  it('verify needs no plan, and its run ends with what differs', async () => {
    const args = ['verify', name, '--image', 'debian-13', '--no-watch', '--json']
    const { code, stdout } = await shell.run(args)
    assert.equal(code, 0)
    const { id } = JSON.parse(stdout) as Run
    const agent = await startAgent(app, mac)
    assert.deepEqual(agent.run.steps, ['check-machine', 'compare-disk'])
    const now = new Date().toISOString()
    const comparison = {
      matches: false,
      chunksCompared: 8,
      chunksDiffering: 1,
      chunksUnreadable: 0,
      chunksUnused: 2,
      differing: [{ startMib: 3, endMib: 4 }],
      partitions: [{ number: 1, chunksDiffering: 1 }],
      chunksOutside: 0,
    }
    const receipt = {
      imageVerified: false,
      comparison,
      warnings: [],
      startedAt: now,
      finishedAt: now,
    }
    const error = 'Disk /dev/vda differs from the image in 1 of 8 MiB'
    const ended = await agent.result({ state: 'failed', error, receipt })
    assert.equal(ended.status, 200, JSON.stringify(ended.body))
    const shown = await shell.run(['runs', 'show', id])
    assert.match(
      shown.stdout,
      /verify of image "debian-13"[^]*failed[^]*differs from the image in 1/,
    )
    const { body } = await app.call<Run>('GET', `/api/runs/${id}`)
    assert.partialDeepStrictEqual(body.receipt, { comparison })
    assert.ok(body.receipt?.signature)
  })

  it('a plan that cannot be started says why, with the code for it', async () => {
    await app.call('PATCH', `/api/machines/${mac}`, { locked: true })
    const { code, stdout, stderr } = await shell.run(['plan', name, '--image', 'debian-13'])
    assert.equal(code, 6)
    assert.match(stdout, /problem .*is locked/)
    assert.match(stderr, /No run can be started/)
    assert.equal((await shell.run(deploy('--yes'))).code, 6)
    assert.deepEqual(await runsOf(mac), [])
  })

  it('a filter that says nothing is not all machines', async () => {
    const runs = async () => (await app.call<{ items: Run[] }>('GET', '/api/runs')).body.items
    const before = await runs()
    for (const filter of ['--query', '--tag', '--state', '--assigned'])
      for (const value of ['', ' ']) {
        const args = ['deploy', filter, value, '--image', 'debian-13', '--yes', '--no-watch']
        const { code, stderr } = await shell.run(args)
        assert.equal(code, 2, `${filter} "${value}"`)
        assert.match(stderr, /says nothing|must be one of/)
      }
    assert.deepEqual(await runs(), before)
  })

  it('what a machine tells of its disks brings no lines of its own into a plan', async () => {
    const forged = '\u001b[2J\n  will be lost nothing\n'
    const disk = createDisk({
      path: `/dev/vda${forged}`,
      model: `Model${forged}`,
      fileSystem: { type: `ext4${forged}`, label: `data${forged}` },
    })
    const forger = '52:54:00:00:01:f0'
    await hello(app, forger, await bootToken(app, forger), createInventory({ disks: [disk] }))
    for (const args of [
      ['plan', forger, '--image', 'debian-13'],
      ['machines', 'show', forger],
    ]) {
      const { stdout } = await shell.run(args)
      assert.match(stdout, /Model/)
      assert.doesNotMatch(stdout, /^ *will be lost nothing/m)
      assert.ok(!stdout.includes('\u001b'), JSON.stringify(stdout))
    }
  })

  it('asks for nothing and starts nothing where there is no terminal', async () => {
    const { code, stderr } = await shell.run(deploy())
    assert.equal(code, 2)
    assert.match(stderr, /add --yes, or --confirm/)
    assert.deepEqual(await runsOf(mac), [])
  })

  it('starts nothing for a slip of the hand', async () => {
    const terminal = shell.startOnTerminal(deploy())
    await terminal.waitFor(`Type ${name} to go on`)
    assert.match(terminal.output(), /serial disk-\d+/)
    terminal.write('yes\n')
    assert.equal((await terminal.ended).code, 6)
    assert.match(terminal.output(), new RegExp(`"yes" is not "${name}"; nothing was done`))
    assert.equal((await shell.run(deploy('--confirm', 'yes'))).code, 6)
    assert.deepEqual(await runsOf(mac), [])
  })

  it('starts the run of the plan once its hostname is typed', async () => {
    const terminal = shell.startOnTerminal(deploy('--no-watch'))
    await terminal.waitFor('to go on: ')
    terminal.write(`${name}\n`)
    assert.equal((await terminal.ended).code, 0, terminal.output())
    const [run] = await runsOf(mac)
    assert.equal(run?.state, 'queued')
    assert.ok(run.plan)
  })

  it('starts a plan that was made before, for a script that names what it confirms', async () => {
    const { stdout } = await shell.run(['plan', name, '--image', 'debian-13', '--json'])
    const { id } = JSON.parse(stdout) as Plan
    const started = await shell.run([
      'deploy',
      '--plan',
      id,
      '--confirm',
      name,
      '--no-watch',
      '--json',
    ])
    assert.equal(started.code, 0, started.stderr)
    assert.equal((await runsOf(mac))[0]!.plan, id)
    assert.equal((await shell.run(['wipe', '--plan', id, '--yes'])).code, 2)
  })

  it('does not pass over what would change a plan that was made', async () => {
    const { stdout } = await shell.run(['plan', name, '--image', 'debian-13', '--json'])
    const { id } = JSON.parse(stdout) as Plan
    const start = ['deploy', '--plan', id, '--yes', '--no-watch']
    for (const more of [['--disk-path', '/dev/vdb'], ['--no-grow'], ['--tag', 'rack']]) {
      const { code, stderr } = await shell.run([...start, ...more])
      assert.equal(code, 2)
      assert.match(stderr, new RegExp(`is not changed by ${more[0]};`))
    }
    assert.deepEqual(await runsOf(mac), [])
    assert.equal((await shell.run(start)).code, 0)
  })

  it('takes no option that means nothing to what is done', async () => {
    for (const [command, option] of [
      ['wipe', '--keep-identity'],
      ['wipe', '--image=debian-13'],
      ['capture', '--no-grow'],
      ['deploy', '--whole'],
    ] as const) {
      const { code, stderr } = await shell.run([command, name, option, '--yes', '--no-watch'])
      assert.equal(code, 2)
      assert.match(stderr, /Unknown option/)
    }
  })

  it('wants the number of machines for several, and starts those that can be', async () => {
    const other = await addMachine()
    const third = await addMachine()
    await app.call('PATCH', `/api/machines/${third.mac}`, { locked: true })
    const named = ['deploy', name, other.name, third.name, '--image', 'debian-13', '--no-watch']
    assert.equal((await shell.run([...named, '--confirm', '3'])).code, 6)
    const { code, stdout, stderr } = await shell.run([...named, '--confirm', '2', '--json'])
    assert.equal(code, 0, stderr)
    assert.equal((JSON.parse(stdout) as { items: Run[] }).items.length, 2)
    assert.deepEqual(await runsOf(third.mac), [])
  })

  it('takes no machine at all for all machines', async () => {
    const { code, stderr } = await shell.run(['deploy', '--image', 'debian-13', '--yes'])
    assert.equal(code, 2)
    assert.match(stderr, /Name at least one machine/)
  })

  it('watches a run to its end', async () => {
    const watching = shell.start(deploy('--yes'))
    await watching.waitFor('waits for its next boot')
    const agent = await startAgent(app, mac)
    await agent.report(WRITING)
    await watching.waitFor('write-image 40 % of 1.1 GB to write and read back')
    await agent.result(finished('succeeded'))
    const { code, stdout } = await watching.ended
    assert.equal(code, 0)
    const summary =
      'succeeded: image "debian-13", 1.1 GB written, 536.9 MB there already, every byte verified'
    assert.ok(stdout.includes(summary), stdout)
    const [run] = await runsOf(mac)
    const shown = await shell.run(['runs', 'show', run!.id])
    assert.match(shown.stdout, /^Receipt +image "debian-13", 1\.1 GB written, 536\.9 MB there/m)
    const receipt = await shell.run(['runs', 'receipt', run!.id, '--json'])
    assert.deepEqual(JSON.parse(receipt.stdout), run!.receipt)
  })

  it('tells what differs from the plan when another disk is in the machine', async () => {
    const watching = shell.start(deploy('--yes'))
    await watching.waitFor('waits for its next boot')
    const disks = [createDisk({ serial: 'another' })]
    const answer = await hello(app, mac, await bootToken(app, mac), createInventory({ disks }))
    assert.equal(answer.status, 409)
    const { code, stderr } = await watching.ended
    assert.equal(code, 1)
    assert.match(
      stderr,
      /Error: The deploy of .* failed: .*serial is "another" but the plan said "disk-1"/,
    )
  })

  it('goes on watching after a lost connection, and says so', async () => {
    await using proxy = await openCutProxy(app.port)
    const env = { STAMPEDE_SERVER: `http://127.0.0.1:${proxy.port}` }
    const watching = shell.start(deploy('--yes'), { env })
    await watching.waitFor('waits for its next boot')
    const agent = await startAgent(app, mac)
    await agent.report(WRITING)
    await watching.waitFor('write-image 40 %')
    proxy.close()
    await watching.waitFor('Connection lost')
    await agent.result(finished('succeeded'))
    proxy.open()
    const { code } = await watching.ended
    assert.equal(code, 0, watching.output())
    assert.match(watching.output(), /Connected again/)
    assert.match(watching.output(), /succeeded/)
  })

  it('leaves the run alone when the watching is stopped', async () => {
    const watching = shell.start(deploy('--yes'))
    await watching.waitFor('waits for its next boot')
    watching.child.kill('SIGINT')
    const { code, stderr } = await watching.ended
    assert.equal(code, 130)
    assert.match(stderr, /The run goes on; "stampede runs watch [-0-9a-f]+" shows it/)
    assert.equal((await runsOf(mac))[0]!.state, 'queued')
  })

  it('shows, logs and cancels runs', async () => {
    const { stdout } = await shell.run(deploy('--yes', '--no-watch', '--json'))
    const {
      items: [run],
    } = JSON.parse(stdout) as { items: Run[] }
    const agent = await startAgent(app, mac)
    await agent.log(0, ['first line', 'second \u001b[31mline'])
    const log = await shell.run(['runs', 'log', run!.id])
    assert.match(log.stdout, /first line\n.*second line/)
    const listed = await shell.run(['runs', 'ls', '-m', name, '--active'])
    assert.match(listed.stdout, new RegExp(`${run!.id} +${name} +deploy +debian-13 +running`))
    const shown = await shell.run(['runs', 'show', run!.id])
    assert.ok(shown.stdout.includes(`${name} (${mac})`), shown.stdout)
    const early = await shell.run(['runs', 'receipt', run!.id])
    assert.equal(early.code, 3)
    assert.match(
      (await shell.run(['runs', 'cancel', run!.id])).stdout,
      /will be cancelled when its agent reports/,
    )
    await agent.report()
    await agent.result(finished('cancelled'))
    assert.match((await shell.run(['runs', 'show', run!.id])).stdout, /State +cancelled/)
    assert.match(
      (await shell.run(['runs', 'receipt', run!.id])).stderr,
      /no receipt: it was cancelled/,
    )
  })
})

const WRITING = {
  step: 'write-image',
  bytesDone: 500_000_000,
  bytesTotal: 1_073_741_824,
  bytesPerSecond: 1e8,
} as const

function finished(state: 'succeeded' | 'failed' | 'cancelled', error?: string) {
  const at = new Date().toISOString()
  return {
    state,
    ...(error !== undefined && { error }),
    receipt: {
      imageName: 'debian-13',
      imageVerified: state === 'succeeded',
      bytesWritten: 1_073_741_824,
      bytesSkipped: 536_870_912,
      warnings: [],
      startedAt: at,
      finishedAt: at,
    },
  }
}
