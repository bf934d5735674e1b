import { NavLink } from '@mantine/core'
import {
  IconDeviceDesktop,
  IconDisc,
  IconNetwork,
  IconPlayerPlay,
  IconSettings,
} from '@tabler/icons-react'
import { Link, useLocation } from 'react-router'

const ENTRIES = [
  { to: '/machines', label: 'Machines', icon: IconDeviceDesktop },
  { to: '/runs', label: 'Runs', icon: IconPlayerPlay },
  { to: '/images', label: 'Images', icon: IconDisc },
  { to: '/network', label: 'Network', icon: IconNetwork },
  { to: '/settings', label: 'Settings', icon: IconSettings },
]

export function Navigation() {
  const { pathname } = useLocation()
  return ENTRIES.map(({ to, label, icon: Icon }) => {
    const isHere = pathname === to || pathname.startsWith(`${to}/`)
    return (
      <NavLink
        key={to}
        component={Link}
        to={to}
        label={label}
        leftSection={<Icon size={18} stroke={1.6} aria-hidden />}
        active={isHere}
        aria-current={isHere ? 'page' : undefined}
        mb={2}
        style={{ borderRadius: 'var(--mantine-radius-md)' }}
      />
    )
  })
}
