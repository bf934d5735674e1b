import { Avatar, Group, Menu, Text, UnstyledButton } from '@mantine/core'
import { IconKey, IconLogout, IconSettings, IconUser } from '@tabler/icons-react'
import { useQueryClient } from '@tanstack/react-query'
import { Link, useNavigate } from 'react-router'
import { bodyOf, client } from '../api/client.ts'
import { changeSession, useSession } from '../api/session.ts'
import { showError } from '../components/show.ts'

export function UserMenu() {
  const { user } = useSession()
  const navigate = useNavigate()
  const cache = useQueryClient()

  async function signOut(): Promise<void> {
    try {
      await bodyOf(client.DELETE('/api/session'))
    } catch (error) {
      showError(error, 'Signing out failed')
      return
    }
    await navigate('/login')
    changeSession(cache, null)
  }

  return (
    <Menu position="bottom-end" width={220} withinPortal>
      <Menu.Target>
        <UnstyledButton aria-label={`Account of ${user.name}`}>
          <Group gap={8} wrap="nowrap">
            <Avatar size={32} color="indigo" variant="filled" radius="xl">
              <IconUser size={18} aria-hidden />
            </Avatar>
            <Text size="sm" visibleFrom="md" maw={160} truncate>
              {user.name}
            </Text>
          </Group>
        </UnstyledButton>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          <Text size="sm" fw={600} truncate>
            {user.name}
          </Text>
          <Text size="xs">{ROLE_TEXTS[user.role]}</Text>
        </Menu.Label>
        <Menu.Divider />
        <Menu.Item component={Link} to="/settings/account" leftSection={<IconKey size={16} />}>
          Change password
        </Menu.Item>
        <Menu.Item component={Link} to="/settings" leftSection={<IconSettings size={16} />}>
          Settings
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void signOut()}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

const ROLE_TEXTS = {
  viewer: 'Viewer: may look',
  operator: 'Operator: may deploy',
  admin: 'Administrator',
}
