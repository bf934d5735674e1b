import type { DisklessContext, StepOutcome } from './step.ts'

/** The inventory went out with the hello: there is nothing left to do but to say so. */
export async function inventory(context: DisklessContext): Promise<StepOutcome> {
  const found = context.inventory
  const disks = found.disks.length
  const nics = found.nics.length
  context.log(
    `Inventory: ${disks} disks, ${nics} network cards, ${found.memoryBytes} bytes of memory`,
  )
  return { state: 'succeeded' }
}
