import { IconLock } from '@tabler/icons-react'
import { memo, type MouseEvent } from 'react'
import { Link, useNavigate } from 'react-router'
import type { Machine } from '#protocol/machine/machine.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { StateBadge } from '../components/StateBadge.tsx'
import classes from './machines.module.css'
import { BootDots, MachineStatus } from './MachineStatus.tsx'

export function machinePath(mac: string): string {
  return `/machines/${mac}`
}

export function rowId(mac: string): string {
  return `machine-${mac.replaceAll(':', '')}`
}

interface MachineRowProps {
  machine: Machine
  /** From 0, of those that are shown. */
  row: number
  isSelectable: boolean
  isSelected: boolean
  isActive: boolean
  onToggle: (mac: string) => void
  onExtend: (mac: string) => void
}

/** Renders anew only when its machine changed; of plain elements, so that scrolling stays smooth. */
export const MachineRow = memo(function MachineRow(props: MachineRowProps) {
  const { machine, row, isSelectable, isSelected, isActive, onToggle, onExtend } = props
  const { mac, name, product, manufacturer, serial, image, state, lastSeenAt, locked } = machine
  const navigate = useNavigate()

  function select(event: MouseEvent): void {
    if (event.shiftKey) {
      window.getSelection()?.removeAllRanges()
      onExtend(mac)
    } else onToggle(mac)
  }

  function click(event: MouseEvent): void {
    const { target } = event
    if (target instanceof Element && target.closest('a, button, input, label')) return
    if (isSelectable && (event.shiftKey || event.ctrlKey || event.metaKey)) select(event)
    else void navigate(machinePath(mac))
  }

  return (
    <tr
      id={rowId(mac)}
      className={classes.row}
      aria-rowindex={row + 2}
      aria-selected={isSelectable ? isSelected : undefined}
      data-active={isActive || undefined}
      onClick={click}
    >
      <td className={classes.check}>
        {isSelectable && (
          <input
            type="checkbox"
            className={classes.box}
            tabIndex={-1}
            aria-label={`Select ${name}`}
            checked={isSelected}
            onClick={select}
            readOnly
          />
        )}
      </td>
      <td>
        <div className={classes.pair}>
          <Link to={machinePath(mac)} tabIndex={-1} className={classes.name} title={name}>
            {name}
          </Link>
          {locked && (
            <span title="Locked: nothing may be written to it" className={classes.fixed}>
              <IconLock size={14} role="img" aria-label="Locked" />
            </span>
          )}
        </div>
        <div className={`${classes.line} ${classes.mono}`}>{mac}</div>
      </td>
      <td>
        <div className={classes.name} style={{ fontWeight: 400 }} title={manufacturer}>
          {product ?? manufacturer ?? '–'}
        </div>
        <div className={`${classes.line} ${classes.mono}`}>{serial}</div>
      </td>
      <td className={classes.state}>
        <div className={classes.lines}>
          <div className={classes.pair}>
            <StateBadge state={state} />
            <BootDots machine={machine} />
          </div>
          <MachineStatus machine={machine} />
        </div>
      </td>
      <td className={classes.image}>
        <div className={classes.name} style={{ fontWeight: 400 }} title={image}>
          {image ?? '–'}
        </div>
      </td>
      <td className={classes.tags}>
        <Tags tags={machine.tags} />
      </td>
      <td className={classes.seen}>
        <RelativeTime at={lastSeenAt} />
      </td>
    </tr>
  )
})

const SHOWN_TAGS = 2

export function Tags({ tags }: { tags: string[] }) {
  const rest = tags.length - SHOWN_TAGS
  return (
    <div className={classes.tagList} title={tags.join(', ')}>
      {tags.slice(0, SHOWN_TAGS).map((tag) => (
        <span key={tag} className={classes.tag}>
          {tag}
        </span>
      ))}
      {rest > 0 && <span className={classes.line}>+{rest}</span>}
    </div>
  )
}
