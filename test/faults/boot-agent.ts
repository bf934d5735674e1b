import { bootSession } from '#agent/boot-session.ts'
import { exec } from '#agent/exec.ts'
import { readDisks } from '#agent/inventory/disks.ts'
import { createInventory } from '#test/support/inventory.ts'

// An agent that was booted, of a machine with one disk: a process of its own, for the test serves the disk.
const [serverUrl, mac, bootToken, path] = process.argv.slice(2) as [string, string, string, string]
const disks = await readDisks(exec, [path])
await bootSession({
  settings: { serverUrl, mac, bootToken },
  inventory: createInventory({ disks: disks.filter((disk) => disk.path === path) }),
  print: console.log,
  signal: AbortSignal.timeout(240_000),
})
