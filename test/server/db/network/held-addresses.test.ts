import assert from 'node:assert/strict'
import { it } from 'node:test'
import { parseIpv4, parseIpv4Cidr } from '#protocol/ipv4.ts'
import { parseMac } from '#protocol/mac.ts'
import { saveMachine } from '#server/db/machines/machines.ts'
import { listHeldAddresses } from '#server/db/network/held-addresses.ts'
import { saveReservation } from '#server/db/network/reservations.ts'
import { describeOnEveryDatabase } from '#test/support/database.ts'

const SERVED = parseIpv4Cidr('10.0.0.1/24')
const mac = (end: number) => parseMac(`52540000000${end}`)

describeOnEveryDatabase('addresses of one machine alone', (openTestDatabase) => {
  it('are the reserved ones and those of deployed systems, each once', async () => {
    await using database = await openTestDatabase()
    const { db } = database
    const reserve = (end: number, address: string, hostname: string | null) =>
      saveReservation(db, mac(end), { address: parseIpv4(address), hostname })
    const deploy = (end: number, address: string) =>
      saveMachine(db, mac(end), { network: { address } })
    await reserve(1, '10.0.0.20', 'door')
    await reserve(2, '10.0.0.30', null)
    await saveMachine(db, mac(9), { name: 'by DHCP' })
    await deploy(2, '10.0.0.31/24')
    await deploy(3, '10.0.0.20/24') // another's by its reservation
    await deploy(4, '10.0.0.40/24')
    await deploy(5, '10.0.0.40/24')
    await deploy(6, '192.0.2.7/24') // of another network
    await deploy(7, '10.0.0.1/24') // ours
    await deploy(8, '10.0.0.255/16')
    assert.deepEqual(await listHeldAddresses(db, SERVED), [
      { mac: mac(1), address: '10.0.0.20', hostname: 'door' },
      { mac: mac(2), address: '10.0.0.30' },
      { mac: mac(2), address: '10.0.0.31' },
      { mac: mac(4), address: '10.0.0.40' },
    ])
  })
})
