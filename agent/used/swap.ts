/** Swap areas, as mkswap(8) writes and kernel/power/swap.c changes them. */

const SIGNATURE_BYTES = 10
const SWAP_SIGNATURE = 'SWAPSPACE2'
/** The kernel's, uswsusp's two, and TuxOnIce's. */
const HIBERNATION_SIGNATURES = ['S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001']
const TUX_ON_ICE = '\xed\xc3\x02\xe9\x98\x56\xe5\x0c'
/** Of all processors that Linux swaps on; the signature ends the first page. */
const PAGE_SIZES = [4096, 8192, 16_384, 65_536]
/** Version and last page, in the byte order of the machine that made it. */
const VERSION_AT = 1024
const LAST_PAGE_AT = 1028
const VERSION = 1
/** The header before what hibernation uses: version, last page, UUID, label. */
const HEADER_END = 1536

/** As many bytes of an area as `readSwapHeader` wants to see. */
export const SWAP_PROBE_BYTES = PAGE_SIZES.at(-1)!

export interface SwapHeader {
  /** What the area begins with, as mkswap left it: one page. */
  page: Buffer
  /** Where the area ends, which may be before its partition or file does. */
  endBytes: number
  /** Another system sleeps in there. */
  isHibernated: boolean
}

/** The header that an area begins with, free of a hibernated system; undefined if it is no swap area, or of a kind of its own. */
export function readSwapHeader(head: Uint8Array): SwapHeader | undefined {
  for (const pageBytes of PAGE_SIZES) {
    if (head.length < pageBytes) return undefined
    const page = Buffer.from(head.subarray(0, pageBytes))
    const signature = page.toString('latin1', pageBytes - SIGNATURE_BYTES)
    if (signature !== SWAP_SIGNATURE && !isHibernation(signature)) continue
    const endBytes = endOf(page)
    if (endBytes === undefined) return undefined
    if (signature === SWAP_SIGNATURE) return { page, endBytes, isHibernated: false }
    page.fill(0, HEADER_END)
    page.write(SWAP_SIGNATURE, pageBytes - SIGNATURE_BYTES, 'latin1')
    return { page, endBytes, isHibernated: true }
  }
  return undefined
}

function endOf(page: Buffer): number | undefined {
  if (page.readUInt32LE(VERSION_AT) === VERSION)
    return (page.readUInt32LE(LAST_PAGE_AT) + 1) * page.length
  if (page.readUInt32BE(VERSION_AT) === VERSION)
    return (page.readUInt32BE(LAST_PAGE_AT) + 1) * page.length
  return undefined
}

function isHibernation(signature: string): boolean {
  const text = signature.replace(/\0+$/, '')
  return HIBERNATION_SIGNATURES.includes(text) || signature.startsWith(TUX_ON_ICE)
}
