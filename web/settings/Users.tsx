import { Badge, Button, Group, Menu, Select, Skeleton, Table, Text, TextInput } from '@mantine/core'
import { PasswordInput, ActionIcon } from '@mantine/core'
import { modals } from '@mantine/modals'
import { IconDots, IconPlus } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { Role, User } from '#protocol/account.ts'
import { useSession } from '../api/session.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { FormModal } from '../components/FormModal.tsx'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { showError } from '../components/show.ts'
import { Section } from '../machine/Section.tsx'
import { MIN_PASSWORD_CHARACTERS, ROLE_CHOICES, ROLE_TEXTS } from './account-texts.ts'
import { changeUser, createUser, deleteUser, usersKey, usersQuery } from './settings-queries.ts'

type Dialog = { kind: 'new' } | { kind: 'role' | 'password'; user: User }

export function Users() {
  const { data: users, error, refetch } = useQuery(usersQuery)
  const [dialog, setDialog] = useState<Dialog>()
  const close = () => setDialog(undefined)
  return (
    <Section
      title="Users"
      actions={
        <Button
          size="xs"
          leftSection={<IconPlus size={14} aria-hidden />}
          onClick={() => setDialog({ kind: 'new' })}
        >
          Add a user
        </Button>
      }
    >
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!users && !error && <Skeleton height={80} role="status" aria-label="Loading the users" />}
      {users && <UserTable users={users} onOpen={setDialog} />}
      {dialog?.kind === 'new' && <NewUser onClose={close} />}
      {dialog?.kind === 'role' && <ChangeRole user={dialog.user} onClose={close} />}
      {dialog?.kind === 'password' && <SetPassword user={dialog.user} onClose={close} />}
    </Section>
  )
}

interface UserTableProps {
  users: readonly User[]
  onOpen: (dialog: Dialog) => void
}

function UserTable({ users, onOpen }: UserTableProps) {
  const session = useSession()
  return (
    <Table.ScrollContainer minWidth={520} scrollAreaProps={{ viewportProps: REACHABLE }}>
      <Table verticalSpacing="sm">
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Name</Table.Th>
            <Table.Th>Role</Table.Th>
            <Table.Th>Last signed in</Table.Th>
            <Table.Th w={70}>Change</Table.Th>
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {users.map((user) => (
            <Table.Tr key={user.id}>
              <Table.Td>
                <Group gap="xs">
                  <Text size="sm" fw={600}>
                    {user.name}
                  </Text>
                  {user.id === session.user.id && <Badge variant="default">you</Badge>}
                  {user.disabled && <Badge color="gray">disabled</Badge>}
                </Group>
              </Table.Td>
              <Table.Td>{ROLE_TEXTS[user.role]}</Table.Td>
              <Table.Td>
                <RelativeTime at={user.lastLoginAt} />
              </Table.Td>
              <Table.Td>
                <UserMenu user={user} onOpen={onOpen} />
              </Table.Td>
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of users' }

function UserMenu({ user, onOpen }: { user: User; onOpen: (dialog: Dialog) => void }) {
  const cache = useQueryClient()
  const after = (change: Promise<void>) =>
    void change
      .catch((error: unknown) => showError(error))
      .finally(() => cache.invalidateQueries({ queryKey: usersKey }))
  const confirmDelete = () =>
    modals.openConfirmModal({
      title: `Delete ${user.name}`,
      children: 'Their sessions and API tokens end at once. What they did stays in the audit log.',
      labels: { confirm: 'Delete', cancel: 'Cancel' },
      confirmProps: { color: 'red' },
      onConfirm: () => after(deleteUser(user.name)),
    })
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`Change ${user.name}`}>
          <IconDots size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => onOpen({ kind: 'role', user })}>Change the role</Menu.Item>
        <Menu.Item onClick={() => onOpen({ kind: 'password', user })}>Set a new password</Menu.Item>
        <Menu.Item onClick={() => after(changeUser(user.name, { disabled: !user.disabled }))}>
          {user.disabled ? 'Enable' : 'Disable'}
        </Menu.Item>
        <Menu.Item color="var(--mantine-color-error)" onClick={confirmDelete}>
          Delete
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}

function NewUser({ onClose }: { onClose: () => void }) {
  const cache = useQueryClient()
  const [name, setName] = useState('')
  const [role, setRole] = useState<Role>('operator')
  const [password, setPassword] = useState('')
  return (
    <FormModal
      title="Add a user"
      action="Add"
      isReady={name.trim() !== '' && password.length >= MIN_PASSWORD_CHARACTERS}
      onClose={onClose}
      onSubmit={async () => {
        await createUser({ name: name.trim(), role, password })
        await cache.invalidateQueries({ queryKey: usersKey })
      }}
    >
      <TextInput
        label="Name"
        data-autofocus
        autoComplete="off"
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <RoleSelect role={role} onChange={setRole} />
      <NewPassword value={password} onChange={setPassword} />
    </FormModal>
  )
}

function ChangeRole({ user, onClose }: { user: User; onClose: () => void }) {
  const cache = useQueryClient()
  const [role, setRole] = useState<Role>(user.role)
  return (
    <FormModal
      title={`The role of ${user.name}`}
      action="Save"
      onClose={onClose}
      onSubmit={async () => {
        await changeUser(user.name, { role })
        await cache.invalidateQueries({ queryKey: usersKey })
      }}
    >
      <RoleSelect role={role} onChange={setRole} />
    </FormModal>
  )
}

function SetPassword({ user, onClose }: { user: User; onClose: () => void }) {
  const [password, setPassword] = useState('')
  return (
    <FormModal
      title={`A new password for ${user.name}`}
      action="Set the password"
      isReady={password.length >= MIN_PASSWORD_CHARACTERS}
      onClose={onClose}
      onSubmit={() => changeUser(user.name, { password })}
    >
      <NewPassword value={password} onChange={setPassword} />
    </FormModal>
  )
}

function RoleSelect({ role, onChange }: { role: Role; onChange: (role: Role) => void }) {
  return (
    <Select
      label="Role"
      data-autofocus
      data={ROLE_CHOICES}
      value={role}
      allowDeselect={false}
      onChange={(value) => onChange(value as Role)}
    />
  )
}

function NewPassword({ value, onChange }: { value: string; onChange: (text: string) => void }) {
  return (
    <PasswordInput
      label="Password"
      description={`At least ${MIN_PASSWORD_CHARACTERS} characters`}
      data-autofocus
      autoComplete="new-password"
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  )
}
