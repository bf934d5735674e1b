/** Swap areas, as mkswap(8) writes and kernel/power/swap.c changes them. */

const SIGNATURE_BYTES = 10
const SWAP_SIGNATURE = 'SWAPSPACE2'
/** The kernel's, uswsusp's two, and TuxOnIce's. */
const HIBERNATION_SIGNATURES = ['S1SUSPEND', 'S2SUSPEND', 'ULSUSPEND', 'LINHIB0001']
const TUX_ON_ICE = '\xed\xc3\x02\xe9\x98\x56\xe5\x0c'
/** Of all processors that Linux swaps on; the signature ends the first page. */
const PAGE_SIZES = [4096, 8192, 16_384, 65_536]
/** The header before what hibernation uses: version, last page, UUID, label. */
const HEADER_END = 1536

/** As many bytes of an area as `readSwapHeader` wants to see. */
export const SWAP_PROBE_BYTES = PAGE_SIZES.at(-1)!

export interface SwapHeader {
  /** What the area begins with, as mkswap left it: one page. */
  page: Buffer
  /** Another system sleeps in there. */
  isHibernated: boolean
}

/** The header that an area begins with, free of a hibernated system; undefined if it is no swap area. */
export function readSwapHeader(head: Uint8Array): SwapHeader | undefined {
  for (const pageBytes of PAGE_SIZES) {
    if (head.length < pageBytes) return undefined
    const page = Buffer.from(head.subarray(0, pageBytes))
    const signature = page.toString('latin1', pageBytes - SIGNATURE_BYTES)
    if (signature === SWAP_SIGNATURE) return { page, isHibernated: false }
    if (!isHibernation(signature)) continue
    page.fill(0, HEADER_END)
    page.write(SWAP_SIGNATURE, pageBytes - SIGNATURE_BYTES, 'latin1')
    return { page, isHibernated: true }
  }
  return undefined
}

function isHibernation(signature: string): boolean {
  const text = signature.replace(/\0+$/, '')
  return HIBERNATION_SIGNATURES.includes(text) || signature.startsWith(TUX_ON_ICE)
}
