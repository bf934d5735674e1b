import { readdirSync, readFileSync } from 'node:fs'

/** proc(5): clock ticks of times in /proc/pid/stat, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100

/** Processor time of all that this process started, but for one: a Postgres, if there is one. */
export function secondsOfChildren(except?: number): number {
  const stats = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => readStat(Number(pid)))
  const mine = new Set([process.pid])
  // A parent is older than its children, but its number may be higher.
  for (let grown = -1; grown !== mine.size;) {
    grown = mine.size
    for (const { pid, parent } of stats) if (mine.has(parent) && pid !== except) mine.add(pid)
  }
  mine.delete(process.pid)
  const ticks = stats.filter(({ pid }) => mine.has(pid)).map((stat) => stat.ticks)
  return ticks.reduce((sum, each) => sum + each, 0) / TICKS_PER_SECOND
}

function readStat(pid: number): { pid: number; parent: number; ticks: number }[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    // Its own, and its children's that ended: Postgres ends a process with each connection.
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
    return [{ pid, parent: Number(fields[1]), ticks }]
  } catch {
    return [] // it has ended
  }
}
