import type { Command } from 'commander'
import { ROLES, type User } from '#protocol/account.ts'
import { action, type Context } from '../context.ts'
import { confirmTyped } from '../confirm.ts'
import { UsageError } from '../errors.ts'
import { examples } from '../help.ts'
import { readSecretFromInput } from '../prompt.ts'
import { ago, printable } from '../text/text.ts'
import { askNewPassword, checkPassword } from './sign-in.ts'

interface UserOptions {
  role?: string
  passwordStdin?: boolean
  password?: boolean
  disable?: boolean
  enable?: boolean
}

const INSTEAD = 'use --password-stdin'

export function addUsers(program: Command, signal: AbortSignal): void {
  const users = program.command('users').alias('user').description('Who may sign in (admins only)')
  users
    .command('ls')
    .alias('list')
    .description('List users')
    .addHelpText('after', examples('stampede users ls'))
    .action(action<[]>(signal, list))
  users
    .command('add <name>')
    .description('Let somebody sign in')
    .option('--role <role>', ROLES.join(', '), 'operator')
    .option('--password-stdin', 'read the password from standard input')
    .addHelpText('after', examples('stampede users add maria --role operator'))
    .action(action<[string], UserOptions>(signal, add))
  users
    .command('set <name>')
    .description('Change the role or the password of a user')
    .option('--role <role>', ROLES.join(', '))
    .option('--password', 'ask for a new password')
    .option('--password-stdin', 'read a new password from standard input')
    .option('--disable', 'let the user sign in no more')
    .option('--enable', 'let the user sign in again')
    .addHelpText(
      'after',
      examples('stampede users set maria --role admin', 'stampede users set maria --disable'),
    )
    .action(action<[string], UserOptions>(signal, set))
  users
    .command('rm <name>')
    .alias('delete')
    .description('Delete a user, and with it the sessions and tokens of that user')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('stampede users rm maria'))
    .action(action<[string], { yes?: boolean }>(signal, remove))
}

async function list(context: Context): Promise<void> {
  const api = await context.api()
  context.showList(
    await api.list<User>('/api/users'),
    [
      { head: 'Name', cell: ({ name }) => name, key: true },
      { head: 'Role', cell: ({ role, disabled }) => (disabled ? `${role}, disabled` : role) },
      { head: 'Last sign-in', cell: ({ lastLoginAt }) => ago(lastLoginAt) },
      { head: 'Created', cell: ({ createdAt }) => ago(createdAt) },
    ],
    'No users',
  )
}

export function checkRole(role: string | undefined): string | undefined {
  if (role !== undefined && !(ROLES as readonly string[]).includes(role))
    throw new UsageError(`--role is "${role}" but must be one of ${ROLES.join(', ')}`)
  return role
}

async function readPassword({ signal }: Context, fromInput: boolean): Promise<string> {
  if (!fromInput) return await askNewPassword(signal, INSTEAD)
  const password = await readSecretFromInput()
  checkPassword(password)
  return password
}

async function add(context: Context, name: string, options: UserOptions): Promise<void> {
  const role = checkRole(options.role)
  const api = await context.api()
  const password = await readPassword(context, options.passwordStdin === true)
  const user = await api.call<User>('POST', '/api/users', { json: { name, role, password } })
  context.show(user, tell)
}

async function set(context: Context, name: string, options: UserOptions): Promise<void> {
  const role = checkRole(options.role)
  const { disable, enable, passwordStdin } = options
  if (disable && enable) throw new UsageError('Either --disable or --enable, not both')
  const wantsPassword = options.password || passwordStdin
  if (!role && !disable && !enable && !wantsPassword)
    throw new UsageError('Nothing to change: give --role, --password, --disable or --enable')
  const api = await context.api()
  const password = wantsPassword && (await readPassword(context, passwordStdin === true))
  const json = {
    ...(role !== undefined && { role }),
    ...(password && { password }),
    ...((disable || enable) && { disabled: disable === true }),
  }
  const path = `/api/users/${encodeURIComponent(name)}`
  context.show(await api.call<User>('PATCH', path, { json }), tell)
}

function tell({ name, role, disabled }: User): string {
  return `${printable(name)} is ${role}${disabled ? ', and may not sign in' : ''}`
}

async function remove(context: Context, name: string, { yes }: { yes?: boolean }): Promise<void> {
  const api = await context.api()
  if (!yes) await confirmTyped(context, `User "${name}" will be deleted.`, name)
  await api.call('DELETE', `/api/users/${encodeURIComponent(name)}`)
  context.show({ deleted: name }, () => `${name} is deleted`)
}
