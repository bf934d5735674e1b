import { queryOptions } from '@tanstack/react-query'
import type { NetworkStatus } from '#protocol/network-status.ts'
import { bodyOf, client } from './client.ts'
import { keys } from './keys.ts'

/** How this server meets machines: interfaces, DHCP, other DHCP servers that were heard. */
export const networkQuery = queryOptions({
  queryKey: keys.network,
  queryFn: (): Promise<NetworkStatus> => bodyOf(client.GET('/api/network')),
})
