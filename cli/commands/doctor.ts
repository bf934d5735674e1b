import type { Command } from 'commander'
import { networkInterfaces } from 'node:os'
import { action, findLogin, type Context } from '../context.ts'
import type { Finding } from '../doctor/finding.ts'
import { localChecks } from '../doctor/local-checks.ts'
import { serverChecks } from '../doctor/server-checks.ts'
import { CliError, EXIT } from '../errors.ts'
import { examples } from '../help.ts'
import { paint, plural } from '../text/text.ts'

export function addDoctor(program: Command, signal: AbortSignal): void {
  program
    .command('doctor')
    .summary('Find out what is not well')
    .description(
      'Check the way to the server, the clocks, versions, and with the server itself: ports, DHCP, TFTP, boot files, agent, store, database. ' +
        'Where no server answers on this computer, check what one would need.',
    )
    .option('--local', 'check this computer, whatever server is set')
    .addHelpText(
      'after',
      examples('stampede doctor', 'sudo stampede doctor --local', 'stampede doctor --json'),
    )
    .action(action<[], { local?: boolean }>(signal, doctor))
}

async function doctor(context: Context, { local }: { local?: boolean }): Promise<void> {
  const { env, options, signal } = context
  const { server, token } = local
    ? { server: undefined, token: undefined }
    : await findLogin(options, env)
  const found = server === undefined ? undefined : await serverChecks(server, token, signal)
  // The server's own place, and nothing there: what keeps it from starting?
  const isHere = server === undefined || isOurs(new URL(server).hostname)
  const isDown = !found || found.exitCode === EXIT.unreachable
  const findings = [...(found?.findings ?? []), ...(isHere && isDown ? await localChecks(env) : [])]
  const bad = findings.filter(({ ok }) => !ok)
  const answer = {
    ok: bad.length === 0,
    server: server ?? null,
    checks: findings,
    system: found?.system ?? null,
  }
  context.show(answer, () => findings.map(lineOf).join('\n'))
  if (bad.length > 0)
    throw new CliError(
      found?.exitCode || EXIT.failed,
      `${plural(bad.length, 'check')} of ${findings.length} did not pass`,
    )
}

function isOurs(host: string): boolean {
  const plain = host.replace(/^\[|\]$/g, '')
  if (plain === 'localhost') return true
  return Object.values(networkInterfaces()).some((addresses = []) =>
    addresses.some(({ address }) => address === plain),
  )
}

function lineOf({ name, ok, message }: Finding): string {
  return `${ok ? paint('green', 'ok  ') : paint('red', 'FAIL')}  ${name.padEnd(18)}  ${message}`
}
