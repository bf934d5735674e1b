import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseCpuInfo, parseMemoryBytes } from '#agent/inventory/machine.ts'

function thread(processor: number, socket: number, core: number): string {
  return (
    `processor\t: ${processor}\nmodel name\t: Intel(R) Xeon(R) CPU: E5-2620\n` +
    `physical id\t: ${socket}\ncore id\t\t: ${core}\n`
  )
}

describe('parseCpuInfo', () => {
  it('counts sockets, cores and threads', () => {
    const text = [thread(0, 0, 0), thread(1, 0, 1), thread(2, 1, 0), thread(3, 0, 0)].join('\n')
    assert.deepEqual(parseCpuInfo(text), {
      model: 'Intel(R) Xeon(R) CPU: E5-2620',
      sockets: 2,
      cores: 3,
      threads: 4,
    })
  })

  it('counts what an ARM kernel lists, which names neither model nor socket', () => {
    const text = 'processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\nBogoMIPS\t: 50.00\n'
    assert.deepEqual(parseCpuInfo(text), { sockets: 1, cores: 2, threads: 2 })
  })
})

describe('parseMemoryBytes', () => {
  it('reads kB as 1,024 bytes', () => {
    assert.equal(parseMemoryBytes('MemTotal:         768000 kB\nMemFree: 1 kB\n'), 786_432_000)
  })
})
