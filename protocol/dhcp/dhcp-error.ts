/** What arrived is no DHCP packet, or an option of it does not have the length that it must have. */
export class DhcpDecodeError extends Error {
  override name = 'DhcpDecodeError'
}
