import type { Role, TokenScope } from '#protocol/account.ts'

/** As the server has it; it checks again. */
export const MIN_PASSWORD_CHARACTERS = 10

export const ROLE_TEXTS: Record<Role, string> = {
  viewer: 'Viewer: sees everything, changes nothing',
  operator: 'Operator: machines, images, runs and addresses',
  admin: 'Administrator: also users, webhooks and the audit log',
}

export const ROLE_CHOICES = (Object.keys(ROLE_TEXTS) as Role[]).map((value) => ({
  value,
  label: ROLE_TEXTS[value],
}))

export const SCOPE_TEXTS: Record<TokenScope, string> = {
  machines: 'Machines',
  runs: 'Runs and plans',
  images: 'Images',
  network: 'Addresses',
  settings: 'Settings',
  accounts: 'Users and tokens',
}
