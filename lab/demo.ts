// The whole story in virtual machines: node lab/demo.ts [--keep]
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import type { Image } from '#protocol/image/image-info.ts'
import type { Run } from '#protocol/run/run.ts'
import { acceleration } from './acceleration.ts'
import { attachToConsole } from './attach.ts'
import { goldenImage } from './golden-images.ts'
import { GOLDEN_MAC, GOLDEN_PASSWORD, GOLDEN_RECIPES } from './golden-recipes.ts'
import { createLiveView } from './live-view.ts'
import type { LiveView } from './live-view.ts'
import type { Machine } from './machine.ts'
import {
  askSystem,
  createLabDisk,
  openLab,
  openLabMachine,
  orderRun,
  runToSuccess,
} from './scenario.ts'
import type { Lab } from './scenario.ts'

const IMAGE = 'debian-12'
const CLONE_MAC = '52:54:00:5a:00:0b'
const CLONE_SIZE_BYTES = 20 * 1024 ** 3

const USAGE = `Usage: npm run demo -- [--keep]

Captures a virtual machine that runs Debian and deploys the image to a blank one.

  --keep   leave the server with its web interface and the deployed machine running, with the
           machine's console here`

const HOW_TO_GO_ON = `
How to go on:
  npm run demo -- --keep   the same, and leaves the server and B running for you
  npm start                serves your own network, beside its DHCP server; see README.md`

const { values: options } = parseArgs({
  options: { keep: { type: 'boolean' }, help: { type: 'boolean' } },
})
if (options.help) {
  console.log(USAGE)
  process.exit(0)
}
if (process.getuid?.() !== 0) {
  console.error('The demo makes a network namespace and needs root; run it again with sudo')
  process.exit(1)
}

const stop = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    if (stop.signal.aborted) process.exit(1) // asked twice: no more patience
    stop.abort()
  })
const interrupted = once(stop.signal, 'abort')

const folder = await mkdtemp(path.join(tmpdir(), 'stampede-demo-'))
try {
  const ended = await Promise.race([tellStory(folder), interrupted.then(() => 'interrupted')])
  if (ended === 'interrupted') process.exitCode = 130
  await rm(folder, { recursive: true, force: true })
} catch (error) {
  console.error(`\nThe demo failed: ${(error as Error).message}`)
  console.error(`\nConsoles and logs are in ${folder}`)
  process.exitCode = 1
}
process.exit()

async function tellStory(folder: string): Promise<'done'> {
  using view = createLiveView(process.stdout)
  const emulation = (await acceleration()) === 'tcg' ? 'in software, so slowly' : 'with KVM'
  view.say(`Virtual machines run ${emulation}; consoles and logs are in ${folder}`)
  await goldenImage('a', view.say)

  await using lab = await openLab(folder)
  view.say(`The server runs on ${lab.network.address}, a bridge in a namespace of its own`)
  const capture = await captureOriginal(lab, view)
  const image = await lab.server.api.get<Image>(`/api/images/${IMAGE}`)
  const { run: deploy, machine } = await deployClone(lab, view)
  await using clone = machine

  view.say('B boots from its disk')
  const system = await askSystem(clone)
  view.say(`Logged in on the serial console of B, which is "${system.hostname}"`)
  console.log(`\n$ hostname\n${system.hostname}\n$ ip -4 address\n${system.address}`)
  console.log(`$ df -h /\n${system.df}\n`)
  console.log(figures(image, capture, deploy))
  if (options.keep) await keepRunning(lab, clone)
  else console.log(HOW_TO_GO_ON)
  return 'done'
}

async function captureOriginal(lab: Lab, view: LiveView): Promise<Run> {
  const order = { mac: GOLDEN_MAC, workflow: 'capture', image: IMAGE } as const
  const { id } = await orderRun(lab, 'a', order)
  view.say(`Power on A, whose disk holds ${GOLDEN_RECIPES.a.title}: it is to be captured`)
  const disk = await createLabDisk(lab, { machine: 'a', bus: 'virtio', content: 'a' })
  const settings = { name: 'a', mac: GOLDEN_MAC, firmware: 'bios' as const, disks: [disk] }
  await using machine = await openLabMachine(lab, settings)
  const run = await runToSuccess(lab, machine, id, view.follow('capture of A'))
  view.say(`Image "${IMAGE}" is complete; power off A`)
  return run
}

async function deployClone(lab: Lab, view: LiveView): Promise<{ run: Run; machine: Machine }> {
  const order = { mac: CLONE_MAC, workflow: 'deploy', image: IMAGE, grow: true } as const
  const { id } = await orderRun(lab, 'b', order)
  view.say('Power on B, whose disk of 20 GB is blank: it is to run the image')
  const content = { blankBytes: CLONE_SIZE_BYTES }
  const disk = await createLabDisk(lab, { machine: 'b', bus: 'virtio', content })
  const settings = { name: 'b', mac: CLONE_MAC, firmware: 'bios' as const, disks: [disk] }
  await using opened = new AsyncDisposableStack()
  const machine = opened.use(await openLabMachine(lab, settings))
  const run = await runToSuccess(lab, machine, id, view.follow('deploy to B'))
  view.say('Deployed and verified')
  opened.move()
  return { run, machine }
}

function figures(image: Image, capture: Run, deploy: Run): string {
  const mb = (bytes: number | undefined) => `${Math.round((bytes ?? 0) / 1e6)} MB`
  return [
    `image     ${mb(image.sizeBytes)} disk, ${mb(image.contentBytes)} of content, ${mb(image.storedBytes)} stored`,
    `          digest ${image.digest}`,
    `capture   ${seconds(capture)} s in the agent, ${mb(capture.receipt?.bytesSent)} sent`,
    `deploy    ${seconds(deploy)} s in the agent, ${mb(deploy.receipt?.bytesWritten)} written, ${mb(deploy.receipt?.bytesVerified)} verified`,
  ].join('\n')
}

/** Of a run, from the agent's hello to its result. */
function seconds(run: Run): number {
  const { startedAt, finishedAt } = run
  return startedAt && finishedAt
    ? Math.round((Date.parse(finishedAt) - Date.parse(startedAt)) / 1000)
    : 0
}

async function keepRunning(lab: Lab, clone: Machine): Promise<void> {
  const { api, logFile } = lab.server
  const { port } = new URL(api.url)
  const leave = process.stdin.isTTY ? 'Ctrl-]' : 'Ctrl-C'
  console.log(`
Everything goes on until ${leave}:
  web        ${api.url}  (asks for the admin token ${api.token}
             and then for a name and password of yours)
             from another computer: ssh -L ${port}:127.0.0.1:${port} <this host>
  API        ${api.url}/api/docs
  log        ${logFile}
  console    ${clone.console.file}
  network    ip netns exec ${lab.network.namespace} bash

This terminal is B's serial console from here on; log in as root, password "${GOLDEN_PASSWORD}".`)
  await attachToConsole(clone.console, stop.signal)
}
