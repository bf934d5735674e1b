import { Text, Title } from '@mantine/core'
import type { ReactNode } from 'react'
import type { Inventory } from '#protocol/machine/inventory.ts'
import type { Machine } from '#protocol/machine/machine.ts'
import { RelativeTime } from '../components/RelativeTime.tsx'
import { FactList, type Fact } from './FactList.tsx'
import classes from './machine.module.css'

/** What the agent found in the machine. */
export function MachineInventory({ machine: { inventory } }: { machine: Machine }) {
  if (!inventory)
    return (
      <Text size="sm" c="dimmed">
        None yet. It is taken when the machine boots from the network the next time.
      </Text>
    )
  const { smbios, cpu, nics, tpm } = inventory
  return (
    <div className={classes.inventory}>
      <Part
        title="System"
        facts={[
          ['Manufacturer', smbios.manufacturer],
          ['Product', smbios.product],
          ['Serial', smbios.serial],
          ['Board serial', smbios.boardSerial],
          ['Asset tag', smbios.assetTag],
          ['UUID', smbios.uuid],
        ]}
      />
      <Part
        title="Firmware"
        facts={[
          ['Kind', inventory.firmware === 'uefi' ? 'UEFI' : 'BIOS'],
          ['Secure Boot', secureBootText(inventory)],
          ['Version', [smbios.biosVendor, smbios.biosVersion].filter(Boolean).join(' ')],
          ['Date', smbios.biosDate],
          ['TPM', tpm ? (tpm.version ?? 'yes') : 'none'],
        ]}
      />
      <Part
        title="Processor and memory"
        facts={[
          ['Model', cpu.model],
          ['Architecture', inventory.architecture],
          ['Sockets, cores, threads', `${cpu.sockets}, ${cpu.cores}, ${cpu.threads}`],
          ['Memory', formatBinary(inventory.memoryBytes)],
        ]}
      />
      {nics.map((nic) => (
        <Part
          key={nic.mac}
          title={`Network card ${nic.name}`}
          facts={[
            ['MAC', nic.mac],
            ['Link', linkText(nic)],
            ['Driver', nic.driver],
            ['Addresses', nic.addresses.join(', ')],
          ]}
        />
      ))}
      <Part
        title="This inventory"
        facts={[
          ['Taken', <RelativeTime key="at" at={inventory.at} />],
          ['Agent', inventory.agentVersion],
          ['Kernel', inventory.kernel],
        ]}
      />
    </div>
  )
}

function Part({ title, facts }: { title: ReactNode; facts: readonly Fact[] }) {
  return (
    <div>
      <Title order={3} size="h6" mb={6}>
        {title}
      </Title>
      <FactList facts={facts} />
    </div>
  )
}

function secureBootText({ firmware, secureBoot }: Inventory): string | undefined {
  if (firmware === 'bios') return undefined
  if (secureBoot === undefined) return 'not known'
  return secureBoot ? 'on' : 'off'
}

function linkText({ link, speedMbps }: Inventory['nics'][number]): string {
  if (!link) return 'down'
  if (speedMbps === undefined) return 'up'
  return speedMbps >= 1000 ? `up, ${speedMbps / 1000} Gbit/s` : `up, ${speedMbps} Mbit/s`
}

/** Memory is sold in powers of two; what the firmware keeps for itself is missing from it. */
export function formatBinary(bytes: number): string {
  const gib = bytes / 2 ** 30
  return gib >= 1 ? `${Number(gib.toFixed(1))} GiB` : `${Math.round(bytes / 2 ** 20)} MiB`
}
