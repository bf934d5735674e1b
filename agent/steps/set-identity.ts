import { parseMac } from '#protocol/mac.ts'
import { openDeployedSystem } from '../system/deployed-system.ts'
import { setHostname } from '../system/identity/hostname.ts'
import { setNetwork } from '../system/network/set-network.ts'
import type { IdentityContext } from './reset-identity.ts'
import type { StepOutcome } from './step.ts'

/** Writes the machine's host name and static network into the deployed system. */
export async function setIdentity(context: IdentityContext): Promise<StepOutcome> {
  const { run, warn, log } = context
  const { hostname, network } = run.options
  if (hostname === undefined && network === undefined)
    return { state: 'skipped', message: 'The run sets neither host name nor network' }
  await using system = await openDeployedSystem(context)
  if (!system) {
    // A machine that was promised an address and has none is no success.
    if (network) throw new Error('The static network could not be set: no root was found')
    return { state: 'skipped', message: 'No root to change was found' }
  }
  if (hostname !== undefined) {
    await setHostname(system.files, hostname)
    log(`The host name is ${hostname}`)
  }
  if (network) {
    const { address, gateway, nameservers = [] } = network
    const mac = parseMac(run.machine.mac)
    const settings = { mac, address, nameservers, ...(gateway !== undefined && { gateway }) }
    const backEnd = await setNetwork(system, settings, warn)
    log(`The card ${mac} has the address ${address}, by ${backEnd}`)
  }
  return { state: 'succeeded' }
}
