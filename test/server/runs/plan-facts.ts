import { parseMac } from '#protocol/mac.ts'
import type { PlanRequest } from '#protocol/run/plan.ts'
import { parseSha256 } from '#protocol/sha256.ts'
import type { PlanFacts, PlannedMachine } from '#server/runs/plan-item.ts'
import type { PlannedImage } from '#server/runs/plan-judge.ts'
import { createInventory } from '#test/support/inventory.ts'

export const NOW = new Date('2026-05-02T12:00:00.000Z')
export const MAC = parseMac('52:54:00:00:16:01')

export function createMachine(changes: Partial<PlannedMachine> = {}): PlannedMachine {
  return {
    mac: MAC,
    name: 'rack3',
    hostname: null,
    image: null,
    locked: false,
    disk: null,
    network: null,
    inventory: createInventory(),
    lastInventoryAt: new Date('2026-05-02T11:00:00.000Z'),
    ...changes,
  }
}

/** Boots on BIOS machines. */
export function createImage(changes: Partial<PlannedImage> = {}): PlannedImage {
  return {
    name: 'debian',
    digest: parseSha256('d'.repeat(64)),
    sizeBytes: 1024 ** 3,
    sectorBytes: 512,
    info: { bootModes: ['bios'] },
    ...changes,
  }
}

export function createFacts(changes: Partial<PlanFacts> = {}): PlanFacts {
  return {
    activeRuns: new Map(),
    writers: new Map(),
    images: new Map([['debian', createImage()]]),
    captures: new Map(),
    ...changes,
  }
}

export const DEPLOY: PlanRequest = { workflow: 'deploy', macs: [MAC], image: 'debian' }
export const CAPTURE: PlanRequest = { workflow: 'capture', macs: [MAC], image: 'golden' }
export const WIPE: PlanRequest = { workflow: 'wipe', macs: [MAC] }
