import { Anchor } from '@mantine/core'
import { Link } from 'react-router'

/** A link in an alert: in the colour of its text, which the colour of links would not suit. */
export function AlertLink({ to, children }: { to: string; children: string }) {
  return (
    <Anchor component={Link} to={to} size="sm" c="inherit" underline="always">
      {children}
    </Anchor>
  )
}
