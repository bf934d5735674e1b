import type { Run } from '#protocol/run/run.ts'
import { FactList } from '../machine/FactList.tsx'

/** The settings of the run in words; what is as always is left out. */
export function RunOptionsList({ run }: { run: Run }) {
  const { options, workflow } = run
  const isDeploy = workflow === 'deploy'
  const { disk, network } = options
  return (
    <FactList
      facts={[
        ['Image', run.image],
        ['Image digest', run.imageDigest && `sha256:${run.imageDigest.slice(0, 12)}…`],
        ['Disk', disk && hintsText(disk)],
        ['Hostname', isDeploy ? options.hostname : undefined],
        ['Network', isDeploy && network ? network.address : undefined],
        ['Grow the root', isDeploy ? yesNo(options.grow) : undefined],
        ['Host keys and machine id', isDeploy ? options.identity : undefined],
        ['Zero free space', isDeploy ? yesNo(options.zeroUnused) : undefined],
        ['Smaller disk allowed', options.allowShrink ? 'yes' : undefined],
        ['Free space', options.wholeDisk ? 'captured, too' : undefined],
        ['Forced', options.force ? 'yes' : undefined],
        ['Afterwards', options.after === 'poweroff' ? 'power off' : 'reboot'],
        ['Done by', run.claimedBy === 'booty' ? 'BOOTy' : undefined],
        ['Attempts', run.attempts],
      ]}
    />
  )
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no'
}

export function hintsText(hints: NonNullable<Run['options']['disk']>): string {
  return Object.entries(hints)
    .map(([name, value]) => `${name} ${String(value)}`)
    .join(', ')
}
