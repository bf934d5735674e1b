import type { Command, Option } from 'commander'
import { ROLES, TOKEN_SCOPES } from '#protocol/account.ts'
import type { Image } from '#protocol/image/image-info.ts'
import { MACHINE_SORT_KEYS, MACHINE_STATES, type Machine } from '#protocol/machine/machine.ts'
import { ACTIVE_RUN_STATES, FINAL_RUN_STATES, WORKFLOWS, type Run } from '#protocol/run/run.ts'
import { WEBHOOK_EVENTS } from '#protocol/webhook.ts'
import type { ApiClient } from './api-client.ts'
import { printable } from './text/text.ts'

/** What may come next on a command line, told from commander's own tree. */

export interface Candidate {
  value: string
  description: string
}
/** `files`: the shell knows better. */
export type Candidates = Candidate[] | 'files'

/** Nobody waits longer for a list of names. */
export const COMPLETION_MILLISECONDS = 1500
const MAX_CANDIDATES = 200

/** `words`: those after the command's name; the last one is being typed. */
export async function complete(
  program: Command,
  words: readonly string[],
  openApi: () => Promise<ApiClient>,
): Promise<Candidates> {
  const typed = words.at(-1) ?? ''
  const { command, argument, option } = locate(program, words.slice(0, -1))
  const [, name, start] = /^(--[^=]+)=(.*)$/.exec(typed) ?? []
  if (name !== undefined) {
    const found = await valuesOf(optionOf(command, name)?.name() ?? '', command, openApi)
    if (found === 'files') return found
    return matching(found, start!).map((each) => ({ ...each, value: `${name}=${each.value}` }))
  }
  if (option) return matchingOrFiles(await valuesOf(option.name(), command, openApi), typed)
  if (typed.startsWith('-')) return matching(optionsOf(command), typed)
  if (command.commands.length > 0) return matching(commandsOf(command), typed)
  if (argument === undefined) return []
  return matchingOrFiles(await valuesOf(argument, command, openApi), typed)
}

interface Place {
  command: Command
  /** Name of the argument that comes next. */
  argument: string | undefined
  /** The option whose value comes next. */
  option: Option | undefined
}

function locate(program: Command, words: readonly string[]): Place {
  let command = program
  let option: Option | undefined
  let count = 0
  for (const word of words) {
    if (option) option = undefined
    else if (word.startsWith('-')) {
      const found = optionOf(command, word)
      if (found?.required && !word.includes('=')) option = found
    } else {
      const child = command.commands.find((each) => isCalled(each, word))
      if (child) command = child
      else count++
    }
  }
  const known = command.registeredArguments
  const next = known[count] ?? (known.at(-1)?.variadic ? known.at(-1) : undefined)
  return { command, argument: next?.name(), option }
}

function isCalled(command: Command, word: string): boolean {
  return command.name() === word || command.aliases().includes(word)
}

function withParents(command: Command): Command[] {
  return command.parent ? [command, ...withParents(command.parent)] : [command]
}

function optionOf(command: Command, word: string): Option | undefined {
  const name = word.replace(/=.*$/, '')
  return withParents(command)
    .flatMap(({ options }) => options)
    .find(({ long, short }) => name === long || name === short)
}

function optionsOf(command: Command): Candidate[] {
  return withParents(command)
    .flatMap(({ options }) => options)
    .filter(({ hidden, long }) => !hidden && long)
    .map(({ long, description }) => ({ value: long!, description }))
    .concat({ value: '--help', description: 'display help' })
}

function commandsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((each) => ({ value: each.name(), description: each.summary() || each.description() }))
}

function matching(candidates: readonly Candidate[], start: string): Candidate[] {
  return candidates
    .filter(({ value }) => value.startsWith(start) && !/\s/.test(value))
    .slice(0, MAX_CANDIDATES)
}

function matchingOrFiles(found: Candidates, start: string): Candidates {
  return found === 'files' ? found : matching(found, start)
}

const FIXED: Record<string, readonly string[]> = {
  state: MACHINE_STATES,
  sort: MACHINE_SORT_KEYS,
  role: ROLES,
  scope: TOKEN_SCOPES,
  event: WEBHOOK_EVENTS,
  workflow: ['deploy', 'capture', 'wipe'],
  'sector-size': ['512', '4096'],
  format: ['gz', 'zst', 'raw', 'qcow2'],
  shell: ['bash', 'zsh'],
}

/** Where `runs` takes others than machines and plans do. */
const FIXED_OF_RUNS: Record<string, readonly string[]> = {
  state: [...ACTIVE_RUN_STATES, ...FINAL_RUN_STATES],
  workflow: WORKFLOWS,
}

/** By the name of an option or argument of `command`. */
async function valuesOf(
  name: string,
  command: Command,
  openApi: () => Promise<ApiClient>,
): Promise<Candidates> {
  const isOfRuns = command.parent?.name() === 'runs'
  const fixed = (isOfRuns ? FIXED_OF_RUNS[name] : undefined) ?? FIXED[name]
  if (fixed) return fixed.map((value) => ({ value, description: '' }))
  switch (name) {
    case 'file':
    case 'output':
      return 'files'
    case 'machine':
      return await machineNames(await openApi())
    case 'image':
    case 'version':
    case 'assigned':
      return await imageNames(await openApi())
    case 'run':
      return await runIds(await openApi())
    default:
      return []
  }
}

/** MACs where a name would not say which, or could not be typed. */
async function machineNames(api: ApiClient): Promise<Candidate[]> {
  const { items } = await api.list<Machine>('/api/machines', { inventory: false }, 1000)
  const count = Map.groupBy(items, ({ name }) => name)
  return items.map(({ name, mac, state, product }) => {
    const isClear = count.get(name)?.length === 1 && /^[\w.-]+$/.test(name)
    const facts = [isClear ? mac : name, state, product].filter(Boolean).join(', ')
    return { value: isClear ? name : mac, description: printable(facts) }
  })
}

async function imageNames(api: ApiClient): Promise<Candidate[]> {
  const { items } = await api.list<Image>('/api/images')
  return items.map(({ name, info }) => ({
    value: name,
    description: printable(info.operatingSystem ?? ''),
  }))
}

async function runIds(api: ApiClient): Promise<Candidate[]> {
  const { items } = await api.list<Run>('/api/runs', {}, 50)
  return items.map(({ id, mac, workflow, state }) => ({
    value: id,
    description: `${workflow} of ${mac}, ${state}`,
  }))
}
