import { describe } from 'node:test'
import { createMemoryLeaseStore } from '#server/dhcp/memory-lease-store.ts'
import { testLeaseStore } from './lease-store-contract.ts'

describe('memory lease store', () => testLeaseStore(createMemoryLeaseStore))
