// The decisive checks on npm's "dhcp" for decision 001. Each runs in a process of its own, on
// loopback, with the server's handlers called as its socket would call them:
//   node docs/decisions/checks/npm-dhcp.cjs
'use strict'
const { spawnSync } = require('node:child_process')
const dhcp = require('dhcp')
const Protocol = require('dhcp/lib/protocol.js')

const CONFIG = {
  range: ['10.0.0.10', '10.0.0.12'],
  static: {},
  netmask: '255.255.255.0',
  router: ['10.0.0.1'],
  dns: ['10.0.0.1'],
  server: '10.0.0.1',
  broadcast: '127.0.0.1',
}

function discover(last, options = [[53, 1]], giaddr = 0) {
  const bytes = Buffer.alloc(300)
  bytes.set([1, 1, 6])
  bytes.writeUInt32BE(giaddr, 24)
  bytes.set([0x52, 0x54, 0, 0, 0, last], 28)
  bytes.writeUInt32BE(0x63825363, 236)
  let at = 240
  for (const [code, ...value] of options) {
    bytes.set([code, value.length, ...value], at)
    at += 2 + value.length
  }
  bytes[at] = 255
  return bytes
}

function createServer(config) {
  const server = dhcp.createServer({ ...CONFIG, ...config })
  server.on('error', (error) => console.log('error event:', String(error)))
  const sent = []
  server._send = (host, answer) => {
    Protocol.format(answer) // as the original does
    sent.push({ host, answer })
  }
  const receive = (bytes) => server._sock.emit('message', bytes)
  return { sent, receive }
}

const CHECKS = {
  'pool exhausted, in order'() {
    const { receive } = createServer({ randomIP: false })
    for (let last = 1; last <= 5; last += 1) receive(discover(last))
    console.log('survived')
  },
  'pool exhausted, at random (its default)'() {
    const { receive } = createServer({})
    for (let last = 1; last <= 5; last += 1) receive(discover(last))
    console.log('survived')
  },
  'a REQUEST that names another server'() {
    const { receive, sent } = createServer({ randomIP: false })
    receive(
      discover(1, [
        [53, 3],
        [54, 10, 0, 0, 2],
        [50, 10, 0, 0, 99],
      ]),
    )
    console.log('answered with message', sent[0]?.answer.options[53], 'for', sent[0]?.answer.yiaddr)
  },
  'an answer through a relay'() {
    const { receive, sent } = createServer({ randomIP: false })
    receive(discover(1, [[53, 1]], 0x0a090001))
    console.log('sent to', sent[0]?.host, 'port 68, relay', sent[0]?.answer.giaddr)
  },
  'options of PXE and relays'() {
    const bytes = discover(1, [
      [53, 1],
      [77, 4, 105, 80, 88, 69],
      [82, 1, 1, 7],
      [93, 0, 7],
      [97, 0, 1],
    ])
    console.log('kept:', Object.keys(Protocol.parse(bytes).options).join(' '))
  },
  'a binary client identifier'() {
    const bytes = discover(1, [
      [53, 1],
      [61, 1, 0x52, 0x54, 0, 0x12, 0xff, 0x56],
    ])
    const text = Protocol.parse(bytes).options[61]
    console.log('0152540012ff56 is', Buffer.from(text, 'latin1').toString('hex'))
  },
  'an option after a PAD'() {
    const bytes = discover(1, [])
    bytes.set([0, 53, 1, 1, 255], 240)
    console.log('53 is', Protocol.parse(bytes).options[53])
  },
}

const LIMIT_MS = 5000
const [, , name] = process.argv
if (name) CHECKS[name]()
else
  for (const check of Object.keys(CHECKS)) {
    const run = spawnSync(process.execPath, [__filename, check], {
      timeout: LIMIT_MS,
      encoding: 'utf8',
    })
    const end = run.signal ? `no end within ${LIMIT_MS / 1000} s` : `exit code ${run.status}`
    const said = run.stdout.trim() || run.stderr.match(/\w*Error: .*/)?.[0] || ''
    console.log(`${check}: ${end}: ${said}`)
  }
