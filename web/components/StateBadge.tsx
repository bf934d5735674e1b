import {
  IconBan,
  IconCheck,
  IconCircleDashed,
  IconCircleDot,
  IconClock,
  IconClockX,
  IconLoader,
  IconPower,
  IconX,
} from '@tabler/icons-react'
import type { MachineState } from '#protocol/machine/machine.ts'
import type { RunState } from '#protocol/run/run.ts'
import classes from './StateBadge.module.css'

/** Of a machine or a run. Colour is never alone: each has a word and a sign of its own. */
const LOOKS = {
  discovered: { text: 'Discovered', color: 'gray', icon: IconCircleDashed },
  ready: { text: 'Ready', color: 'blue', icon: IconCircleDot },
  queued: { text: 'Queued', color: 'violet', icon: IconClock },
  booting: { text: 'Booting', color: 'cyan', icon: IconPower },
  running: { text: 'Running', color: 'indigo', icon: IconLoader },
  deployed: { text: 'Deployed', color: 'green', icon: IconCheck },
  succeeded: { text: 'Succeeded', color: 'green', icon: IconCheck },
  failed: { text: 'Failed', color: 'red', icon: IconX },
  cancelled: { text: 'Cancelled', color: 'gray', icon: IconBan },
  'timed-out': { text: 'Timed out', color: 'orange', icon: IconClockX },
} as const

export function stateText(state: MachineState | RunState): string {
  return LOOKS[state].text
}

/** A colour of the theme. */
export function stateColor(state: MachineState | RunState): string {
  return LOOKS[state].color
}

export function stateIcon(state: MachineState | RunState) {
  return LOOKS[state].icon
}

/** Plain elements: a list shows hundreds. */
export function StateBadge({ state }: { state: MachineState | RunState }) {
  const { text, color, icon: Icon } = LOOKS[state]
  return (
    <span
      className={classes.badge}
      style={{
        background: `var(--mantine-color-${color}-light)`,
        color: `var(--mantine-color-${color}-light-color)`,
      }}
    >
      <Icon size={13} stroke={2.2} aria-hidden />
      {text}
    </span>
  )
}
