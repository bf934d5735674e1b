import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Machine } from '#protocol/machine/machine.ts'
import {
  machinesSearch,
  parseMachinesView,
  visibleMachines,
} from '../../web/machines/machines-view.ts'
import {
  extendTo,
  NOTHING_SELECTED,
  onlyKnown,
  toggle,
  toggleAll,
} from '../../web/machines/selection.ts'

function machine(mac: string, rest: Partial<Machine> = {}): Machine {
  const name = rest.name ?? mac.replaceAll(':', '-')
  return {
    mac,
    macs: [mac],
    name,
    locked: false,
    tags: [],
    state: 'ready',
    lastSeenAt: null,
    ...rest,
  }
}

const A = machine('52:54:00:00:00:0a', { name: 'node10', product: 'R650', tags: ['gpu'] })
const B = machine('52:54:00:00:00:0b', { name: 'node9', image: 'debian', state: 'failed' })
const C = machine('52:54:00:00:00:0c', { name: 'Node1', locked: true, serial: 'XYZ' })

describe('the view of machines', () => {
  const shown = (query: string) =>
    visibleMachines([A, B, C], parseMachinesView(new URLSearchParams(query))).map(
      ({ name }) => name,
    )

  it('finds by every word, and by a MAC in any spelling', () => {
    assert.deepEqual(shown('q=52540000000B'), ['node9'])
    assert.deepEqual(shown('q=52-54-00-00-00-0b'), ['node9'])
    assert.deepEqual(shown('q=node+r650'), ['node10'])
    assert.deepEqual(shown('q=xyz'), ['Node1'])
    assert.deepEqual(shown('q=node+nothing'), [])
  })

  it('filters by state, image, tag and lock', () => {
    assert.deepEqual(shown('state=failed&state=running'), ['node9'])
    assert.deepEqual(shown('image=debian'), ['node9'])
    assert.deepEqual(shown('image=-'), ['Node1', 'node10'])
    assert.deepEqual(shown('tag=gpu'), ['node10'])
    assert.deepEqual(shown('locked=true'), ['Node1'])
    assert.deepEqual(shown('locked=false'), ['node9', 'node10'])
  })

  it('sorts numbers in names by their value, and what is missing last both ways', () => {
    assert.deepEqual(shown(''), ['Node1', 'node9', 'node10'])
    assert.deepEqual(shown('sort=-name'), ['node10', 'node9', 'Node1'])
    assert.deepEqual(shown('sort=image')[0], 'node9')
    assert.deepEqual(shown('sort=-image')[0], 'node9')
    assert.deepEqual(shown('sort=state')[0], 'node9')
  })

  it('comes out of an address as it went in, and says only what differs', () => {
    const view = parseMachinesView(new URLSearchParams('q=a+b&state=failed&tag=x&sort=-lastSeenAt'))
    assert.deepEqual(parseMachinesView(machinesSearch(view)), view)
    assert.equal(machinesSearch(parseMachinesView(new URLSearchParams('sort=name'))).toString(), '')
    assert.equal(parseMachinesView(new URLSearchParams('sort=nonsense')).sort, 'name')
  })
})

describe('a selection', () => {
  const order = ['a', 'b', 'c', 'd']

  it('extends from the last click in the order of the screen, either way', () => {
    const third = toggle(NOTHING_SELECTED, 'c')
    assert.deepEqual([...extendTo(third, 'a', order).macs].toSorted(), ['a', 'b', 'c'])
    assert.deepEqual([...extendTo(third, 'd', order).macs].toSorted(), ['c', 'd'])
  })

  it('begins anew where the last click is not shown any more', () => {
    assert.deepEqual([...extendTo(toggle(NOTHING_SELECTED, 'z'), 'b', order).macs], ['z', 'b'])
  })

  it('takes all that are shown, then none of them, and leaves the hidden alone', () => {
    const hidden = toggle(NOTHING_SELECTED, 'hidden')
    const all = toggleAll(hidden, order)
    assert.equal(all.macs.size, 5)
    assert.deepEqual([...toggleAll(all, order).macs], ['hidden'])
  })

  it('forgets machines that are gone', () => {
    const both = toggle(toggle(NOTHING_SELECTED, 'a'), 'gone')
    assert.deepEqual([...onlyKnown(both, new Set(order)).macs], ['a'])
    const one = toggle(NOTHING_SELECTED, 'a')
    assert.equal(onlyKnown(one, new Set(order)), one)
  })
})
