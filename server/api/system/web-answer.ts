/** What the server answers where no route of the API does. */
export type WebAnswer =
  /** A file of the built interface, with the hash of its content in its name or without. */
  | { kind: 'file'; name: string; immutable: boolean }
  /** The interface itself, which shows the page of this address. */
  | { kind: 'page' }
  | { kind: 'none' }

export interface WebRequest {
  path: string
  accept: string | undefined
  userAgent: string | undefined
}

/** What belongs to programs: a wrong address there is an error in JSON, not a page. */
const OF_PROGRAMS = /^\/(api|agent|boot|booty|chunks|l|healthz|metrics)(\/|$)/
const HASHED_FILE = /^\/(assets\/[A-Za-z0-9._-]+)$/
const FILE = /^\/([A-Za-z0-9-]+\.(?:js|svg|png|ico|txt|webmanifest))$/
/** They read 404 as "nothing to do"; a page would be taken for a configuration. */
const BOOT_CLIENTS = /^(BOOTy|iPXE|UefiHttpBoot)/i

/** Pure: which of them it is tells the request alone. */
export function webAnswer({ path, accept = '', userAgent = '' }: WebRequest): WebAnswer {
  if (OF_PROGRAMS.test(path) || BOOT_CLIENTS.test(userAgent)) return { kind: 'none' }
  const hashed = HASHED_FILE.exec(path)?.[1]
  if (hashed !== undefined) return { kind: 'file', name: hashed, immutable: true }
  const file = FILE.exec(path)?.[1]
  if (file !== undefined) return { kind: 'file', name: file, immutable: false }
  // Whoever takes anything at the front door, as curl does, is shown what is behind it.
  const isAnything = accept === '' || accept.includes('*/*')
  return accept.includes('text/html') || (path === '/' && isAnything)
    ? { kind: 'page' }
    : { kind: 'none' }
}
