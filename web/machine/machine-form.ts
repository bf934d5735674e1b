import type { Machine, MachinePatch } from '#protocol/machine/machine.ts'
import { HOSTNAME_PATTERN } from '#protocol/names.ts'

/** The settings of a machine as a form holds them: text, empty where there is nothing. */
export interface MachineForm {
  name: string
  hostname: string
  image: string | null
  tags: string[]
  locked: boolean
  address: string
  gateway: string
  nameservers: string
  diskSerial: string
  diskWwn: string
  diskPath: string
  diskModel: string
}

export function formOf({
  name,
  hostname,
  image,
  tags,
  locked,
  network,
  disk,
}: Machine): MachineForm {
  return {
    name,
    hostname: hostname ?? '',
    image: image ?? null,
    tags: [...tags],
    locked,
    address: network?.address ?? '',
    gateway: network?.gateway ?? '',
    nameservers: network?.nameservers?.join(', ') ?? '',
    diskSerial: disk?.serial ?? '',
    diskWwn: disk?.wwn ?? '',
    diskPath: disk?.path ?? '',
    diskModel: disk?.model ?? '',
  }
}

/** What differs from the machine as it was read; hints that the form does not show stay. */
export function patchOf(form: MachineForm, machine: Machine): MachinePatch {
  const before = formOf(machine)
  const changed = (...fields: (keyof MachineForm)[]) =>
    fields.some((field) => JSON.stringify(form[field]) !== JSON.stringify(before[field]))
  return {
    ...(changed('name') && { name: form.name.trim() }),
    ...(changed('hostname') && { hostname: form.hostname.trim() || null }),
    ...(changed('image') && { image: form.image }),
    ...(changed('tags') && { tags: form.tags }),
    ...(changed('locked') && { locked: form.locked }),
    ...(changed('address', 'gateway', 'nameservers') && { network: networkOf(form) }),
    ...(changed('diskSerial', 'diskWwn', 'diskPath', 'diskModel') && {
      disk: diskOf(form, machine),
    }),
  }
}

/** What is wrong, by field; empty: it may be sent. The server looks at it all again. */
export function mistakesOf(form: MachineForm): Partial<Record<keyof MachineForm, string>> {
  const mistakes: Partial<Record<keyof MachineForm, string>> = {}
  if (form.name.trim() === '') mistakes.name = 'A machine needs a name'
  if (form.hostname.trim() !== '' && !new RegExp(HOSTNAME_PATTERN).test(form.hostname.trim()))
    mistakes.hostname = 'Letters, digits, hyphens and dots: rack3-node7'
  const hasMore = form.gateway.trim() !== '' || form.nameservers.trim() !== ''
  if (form.address.trim() === '' && hasMore)
    mistakes.address = 'Gateway and nameservers need a static address'
  if (form.address.trim() !== '' && !isCidr(form.address.trim()))
    mistakes.address = 'An address with the length of its prefix: 192.0.2.10/24'
  if (form.gateway.trim() !== '' && !isAddress(form.gateway.trim()))
    mistakes.gateway = 'An IPv4 address: 192.0.2.1'
  if (!addressesIn(form.nameservers).every(isAddress))
    mistakes.nameservers = 'IPv4 addresses with commas between them'
  if (form.diskPath.trim() !== '' && !/^\/dev\/\S+$/.test(form.diskPath.trim()))
    mistakes.diskPath = 'A path below /dev: /dev/sda'
  return mistakes
}

function networkOf(form: MachineForm): MachinePatch['network'] {
  const address = form.address.trim()
  if (address === '') return null
  const gateway = form.gateway.trim()
  const nameservers = addressesIn(form.nameservers)
  return {
    address,
    ...(gateway !== '' && { gateway }),
    ...(nameservers.length > 0 && { nameservers }),
  }
}

function diskOf(form: MachineForm, { disk = {} }: Machine): MachinePatch['disk'] {
  const { serial: _serial, wwn: _wwn, path: _path, model: _model, ...others } = disk
  const [serial, wwn] = [form.diskSerial.trim(), form.diskWwn.trim()]
  const [path, model] = [form.diskPath.trim(), form.diskModel.trim()]
  const hints = {
    ...others,
    ...(serial !== '' && { serial }),
    ...(wwn !== '' && { wwn }),
    ...(path !== '' && { path }),
    ...(model !== '' && { model }),
  }
  return Object.keys(hints).length === 0 ? null : hints
}

function addressesIn(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '')
}

function isAddress(text: string): boolean {
  const parts = text.split('.')
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)
}

function isCidr(text: string): boolean {
  const [address = '', prefix = '', ...rest] = text.split('/')
  return rest.length === 0 && isAddress(address) && /^\d{1,2}$/.test(prefix) && Number(prefix) <= 32
}
