import { ActionIcon, Button, Group, Skeleton, Table, Text, TextInput } from '@mantine/core'
import { modals } from '@mantine/modals'
import { IconPencil, IconPlus, IconTrash } from '@tabler/icons-react'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { keys } from '../api/keys.ts'
import { useMay } from '../api/session.ts'
import { ErrorAlert } from '../components/ErrorAlert.tsx'
import { FormModal } from '../components/FormModal.tsx'
import { Mac } from '../components/Mac.tsx'
import { showError } from '../components/show.ts'
import { Section } from '../machine/Section.tsx'
import {
  deleteReservation,
  reservationsQuery,
  saveReservation,
  type Reservation,
} from './network-queries.ts'

const NEW: Reservation = { mac: '', address: '' }

/** Addresses that only one machine gets. */
export function Reservations({ isServer }: { isServer: boolean }) {
  const { data: reservations, error, refetch } = useQuery(reservationsQuery)
  const mayOperate = useMay('operator')
  const [edited, setEdited] = useState<Reservation>()
  return (
    <Section
      title="Reservations"
      actions={
        mayOperate && (
          <Button
            size="xs"
            variant="default"
            leftSection={<IconPlus size={14} aria-hidden />}
            onClick={() => setEdited(NEW)}
          >
            Reserve an address
          </Button>
        )
      }
    >
      <ErrorAlert error={error} onRetry={() => void refetch()} />
      {!reservations && !error && (
        <Skeleton height={60} role="status" aria-label="Loading the reservations" />
      )}
      {reservations?.length === 0 && (
        <Text size="sm" c="dimmed">
          {isServer
            ? 'None: every machine gets what is free, and keeps it as long as it can.'
            : 'None. They have an effect in mode server only.'}
        </Text>
      )}
      {reservations && reservations.length > 0 && (
        <ReservationTable reservations={reservations} onEdit={mayOperate ? setEdited : undefined} />
      )}
      {edited && <EditReservation initial={edited} onClose={() => setEdited(undefined)} />}
    </Section>
  )
}

interface ReservationTableProps {
  reservations: readonly Reservation[]
  onEdit: ((reservation: Reservation) => void) | undefined
}

function ReservationTable({ reservations, onEdit }: ReservationTableProps) {
  const cache = useQueryClient()
  const confirmDelete = ({ mac, address }: Reservation) =>
    modals.openConfirmModal({
      title: 'Give up the reservation',
      children: `${address} may then go to any machine.`,
      labels: { confirm: 'Give it up', cancel: 'Keep it' },
      confirmProps: { color: 'red' },
      onConfirm: () =>
        void deleteReservation(mac)
          .catch((error: unknown) => showError(error))
          .finally(() => cache.invalidateQueries({ queryKey: keys.reservations })),
    })
  return (
    <Table.ScrollContainer minWidth={420} scrollAreaProps={{ viewportProps: REACHABLE }}>
      <Table>
        <Table.Thead>
          <Table.Tr>
            <Table.Th>Address</Table.Th>
            <Table.Th>MAC</Table.Th>
            <Table.Th>Hostname</Table.Th>
            {onEdit && <Table.Th w={90}>Change</Table.Th>}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {reservations.map((reservation) => (
            <Table.Tr key={reservation.mac}>
              <Table.Td ff="monospace">{reservation.address}</Table.Td>
              <Table.Td>
                <Mac mac={reservation.mac} />
              </Table.Td>
              <Table.Td>{reservation.hostname ?? ''}</Table.Td>
              {onEdit && (
                <Table.Td>
                  <Group gap={4} wrap="nowrap">
                    <ActionIcon
                      variant="subtle"
                      aria-label={`Edit the reservation of ${reservation.address}`}
                      onClick={() => onEdit(reservation)}
                    >
                      <IconPencil size={16} />
                    </ActionIcon>
                    <ActionIcon
                      variant="subtle"
                      color="red"
                      aria-label={`Give up the reservation of ${reservation.address}`}
                      onClick={() => confirmDelete(reservation)}
                    >
                      <IconTrash size={16} />
                    </ActionIcon>
                  </Group>
                </Table.Td>
              )}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  )
}

const REACHABLE = { tabIndex: 0, role: 'region', 'aria-label': 'Table of reservations' }

interface EditReservationProps {
  initial: Reservation
  onClose: () => void
}

function EditReservation({ initial, onClose }: EditReservationProps) {
  const cache = useQueryClient()
  const [mac, setMac] = useState(initial.mac)
  const [address, setAddress] = useState(initial.address)
  const [hostname, setHostname] = useState(initial.hostname ?? '')
  const isNew = initial.mac === ''

  async function save(): Promise<void> {
    const name = hostname.trim()
    await saveReservation({
      mac: mac.trim(),
      address: address.trim(),
      ...(name !== '' && { hostname: name }),
    })
    await cache.invalidateQueries({ queryKey: keys.reservations })
  }

  return (
    <FormModal
      title={isNew ? 'Reserve an address' : 'Change the reservation'}
      action={isNew ? 'Reserve' : 'Save'}
      isReady={mac.trim() !== '' && address.trim() !== ''}
      onClose={onClose}
      onSubmit={save}
    >
      <TextInput
        label="MAC address"
        placeholder="52:54:00:12:34:56"
        value={mac}
        onChange={(event) => setMac(event.currentTarget.value)}
        disabled={!isNew}
        data-autofocus={isNew || undefined}
        required
      />
      <TextInput
        label="Address"
        placeholder="192.0.2.20"
        value={address}
        onChange={(event) => setAddress(event.currentTarget.value)}
        data-autofocus={!isNew || undefined}
        required
      />
      <TextInput
        label="Hostname"
        description="What DHCP tells the machine"
        value={hostname}
        onChange={(event) => setHostname(event.currentTarget.value)}
      />
    </FormModal>
  )
}
