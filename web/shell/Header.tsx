import { Burger, Group, Text, UnstyledButton } from '@mantine/core'
import { Link, useLocation } from 'react-router'
import { ColorSchemeButton } from './ColorSchemeButton.tsx'
import { MachineSearch } from './MachineSearch.tsx'
import { UserMenu } from './UserMenu.tsx'

interface HeaderProps {
  isNavigationOpen: boolean
  onToggleNavigation: () => void
}

export function Header({ isNavigationOpen, onToggleNavigation }: HeaderProps) {
  // The machines page has the search in its own bar.
  const hasSearch = useLocation().pathname !== '/machines'
  return (
    <Group h="100%" px="md" justify="space-between" wrap="nowrap">
      <Group gap="sm" wrap="nowrap">
        <Burger
          opened={isNavigationOpen}
          onClick={onToggleNavigation}
          hiddenFrom="sm"
          size="sm"
          aria-label={isNavigationOpen ? 'Close the navigation' : 'Open the navigation'}
          aria-expanded={isNavigationOpen}
        />
        <UnstyledButton component={Link} to="/machines" aria-label="Stampede, to the machines">
          <Group gap="xs" wrap="nowrap">
            <img src="/stampede.svg" alt="" width={26} height={26} />
            <Text fw={700} size="lg">
              Stampede
            </Text>
          </Group>
        </UnstyledButton>
      </Group>
      {hasSearch && <MachineSearch />}
      <Group gap="xs" wrap="nowrap">
        <ColorSchemeButton />
        <UserMenu />
      </Group>
    </Group>
  )
}
