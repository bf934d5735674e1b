import { UnstyledButton } from '@mantine/core'
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react'
import classes from './machines.module.css'
import type { MachinesView, SortKey } from './machines-view.ts'

export const COLUMN_TEXTS: Record<SortKey, string> = {
  name: 'Name',
  mac: 'MAC',
  serial: 'Serial',
  product: 'Model',
  state: 'State',
  image: 'Image',
  lastSeenAt: 'Last seen',
}

interface SortButtonProps {
  column: SortKey
  view: MachinesView
  onSort: (sort: { sort: SortKey; descending: boolean }) => void
}

export function SortButton({ column, view, onSort }: SortButtonProps) {
  const isSorted = view.sort === column
  const Icon = view.descending ? IconArrowDown : IconArrowUp
  // The newest first is what one means by "last seen".
  const first = column === 'lastSeenAt'
  return (
    <UnstyledButton
      className={classes.sort}
      fz="sm"
      onClick={() => onSort({ sort: column, descending: isSorted ? !view.descending : first })}
    >
      {COLUMN_TEXTS[column]}
      {isSorted && <Icon size={14} aria-hidden />}
    </UnstyledButton>
  )
}
