/** What the firmware says that a machine is; absent where it says nothing of use. */
export interface Identity {
  smbiosUuid: string | undefined
  smbiosSerial: string | undefined
}

/** What firmware vendors leave in when they forget to fill it in. */
const DUMMY_SERIALS = new Set([
  'default string',
  'none',
  'n/a',
  'na',
  'not applicable',
  'not available',
  'not specified',
  'o.e.m.',
  'oem',
  'serial number',
  'system serial number',
  'to be filled by o.e.m.',
  'unknown',
  '0123456789',
  '1234567890',
  '123456789',
])
/** An AMI default that thousands of boards share. */
const DUMMY_UUIDS = new Set(['03000200-0400-0500-0006-000700080009'])

/** Dummies dropped, letters in lower case, so that identities can be compared. */
export function identityOf(smbios: { uuid?: string; serial?: string }): Identity {
  return { smbiosUuid: realUuid(smbios.uuid), smbiosSerial: realSerial(smbios.serial) }
}

/** Why the machine that was read is not the one of the record; undefined if it may be. */
export function findMismatch(record: Identity, read: Identity): string | undefined {
  if (differs(record.smbiosUuid, read.smbiosUuid))
    return `its SMBIOS UUID is "${read.smbiosUuid}" but the record has "${record.smbiosUuid}"`
  if (differs(record.smbiosSerial, read.smbiosSerial))
    return `its serial is "${read.smbiosSerial}" but the record has "${record.smbiosSerial}"`
  return undefined
}

/** Firmware that tells nothing this time proves nothing. */
function differs(recorded: string | undefined, read: string | undefined): boolean {
  return recorded !== undefined && read !== undefined && recorded !== read
}

function realUuid(text: string | undefined): string | undefined {
  const uuid = text?.trim().toLowerCase()
  if (!uuid || isOneCharacter(uuid) || DUMMY_UUIDS.has(uuid)) return undefined
  return uuid
}

function realSerial(text: string | undefined): string | undefined {
  const serial = text?.trim().toLowerCase()
  if (!serial || isOneCharacter(serial) || DUMMY_SERIALS.has(serial)) return undefined
  return serial
}

/** All 0, all F, dots, dashes, … */
function isOneCharacter(text: string): boolean {
  return new Set(text.replaceAll('-', '')).size <= 1
}
