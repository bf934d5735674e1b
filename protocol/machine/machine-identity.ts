/**
 * Which machine this is, by its SMBIOS: a network card moves from one to another, and its MAC
 * with it.
 */

export type SmbiosIdentity = { uuid?: string | undefined; serial?: string | undefined }

/** What firmware says where nobody filled the field in, in lower case; seen on real boards. */
const DUMMIES = new Set([
  '',
  'none',
  'n/a',
  'na',
  'unknown',
  'default string',
  'default',
  'not specified',
  'not applicable',
  'not available',
  'not settable',
  'invalid',
  'empty',
  'to be filled by o.e.m.',
  'to be filled by oem',
  'o.e.m.',
  'oem',
  'system serial number',
  'system product name',
  'serial number',
  'chassis serial number',
  'base board serial number',
  'ssn12345678901234567890',
  '0123456789',
  '123456789',
  '1234567890',
  'xxxxxxxxxxxx',
  '........',
  // Supermicro, Gigabyte and others shipped whole series with these UUIDs.
  '03000200-0400-0500-0006-000700080009',
  '00020003-0004-0005-0006-000700080009',
  '12345678-1234-5678-90ab-cddeefaabbcc',
  'fefefefe-fefe-fefe-fefe-fefefefefefe',
])

/** The value in the form that is compared, or undefined if it identifies nothing. */
export function identifyingText(text: string | undefined): string | undefined {
  const plain = text?.trim().toLowerCase()
  if (plain === undefined || DUMMIES.has(plain)) return undefined
  // All 0, all F, all x: one character repeated, whatever the punctuation.
  const characters = new Set(plain.replace(/[^a-z0-9]/g, ''))
  return characters.size <= 1 ? undefined : plain
}

/**
 * Why the machine that `found` describes is not the one on record, or undefined if nothing speaks
 * against it: dummies and fields that only one of them has say nothing.
 */
export function identityMismatch(
  recorded: SmbiosIdentity,
  found: SmbiosIdentity,
): string | undefined {
  for (const [field, name] of [
    ['uuid', 'UUID'],
    ['serial', 'serial number'],
  ] as const) {
    const wanted = identifyingText(recorded[field])
    const actual = identifyingText(found[field])
    if (wanted === undefined || actual === undefined || wanted === actual) continue
    return (
      `The record of this MAC names a machine with SMBIOS ${name} "${recorded[field]}" but this ` +
      `one has "${found[field]}"; if the network card moved here, delete the machine's record first`
    )
  }
  return undefined
}
