import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseMac } from '#protocol/mac.ts'
import { echoLines } from '#server/boot/ipxe-text.ts'
import { writeAutoexecScript, writeScript } from '#server/boot/script.ts'

const mac = parseMac('52:54:00:12:34:56')
const url = 'http://192.0.2.1:8080'
const agent = { kind: 'agent', purpose: 'run', url, mac, bootToken: 'tok_en-1' } as const

/** Labels that are jumped to must exist, once. */
function assertLabels(script: string): void {
  const labels = [...script.matchAll(/^:(\S+)$/gm)].map(([, label]) => label)
  const targets = [...script.matchAll(/(?:goto|set next) ([a-z0-9-]+)/g)].map(([, one]) => one!)
  assert.equal(new Set(labels).size, labels.length)
  for (const target of targets) assert.ok(labels.includes(target), `no label "${target}"`)
}

describe('the script that starts the agent', () => {
  it('loads kernel and initramfs from us and tells the agent who and where it is', () => {
    const script = writeScript({ ...agent, kernelArguments: ['stampede.shell=1'] })
    assertLabels(script)
    assert.match(script, /^#!ipxe\n/)
    const kernel = /^kernel (.*) \|\| goto retry$/m.exec(script)![1]!.split(' ')
    assert.deepEqual(kernel, [
      `${url}/boot/kernel`,
      'initrd=initrd',
      `stampede.url=${url}`,
      'stampede.mac=52:54:00:12:34:56',
      'stampede.token=tok_en-1',
      'console=tty0',
      'console=ttyS0,115200',
      'rootfstype=ramfs',
      'quiet',
      'panic=30',
      'stampede.shell=1',
    ])
    assert.match(script, /^initrd --name initrd http:\/\/192.0.2.1:8080\/boot\/initrd/m)
  })

  it('says on the screen that we do not answer, and ends at the local disk', () => {
    const script = writeScript(agent)
    assert.match(script, /^echo The Stampede server at http:\/\/192.0.2.1:8080 does not answer$/m)
    assert.match(script, /^sanboot --no-describe --drive 0x80 \|\|$/m)
    assert.match(script, /exit 1\n$/)
  })

  it('looks for 64 bits before it loads anything, and goes to the local disk without them', () => {
    const lines = writeScript(agent).split('\n')
    const asked = lines.indexOf('cpuid --ext 29 && goto x86-64 ||')
    const { length } = lines.slice(0, asked).filter((line) => line.startsWith('kernel '))
    assert.ok(asked > 0 && length === 0)
    assert.equal(lines[asked - 1], 'cpuid 0 || goto x86-64') // an iPXE without the command
    const after = lines.slice(asked + 1, asked + 4)
    assert.match(after[0]!, /^echo The agent needs a 64-bit processor/)
    assert.deepEqual(after.slice(1), ['goto give-up', ':x86-64'])
  })

  it('is not made from what could be another command', () => {
    const bad = ['a b', 'a;b', '${x}', 'a\nb', 'a||b', '', '#', 'a"b', 'a\\b']
    for (const text of bad) {
      assert.throws(
        () => writeScript({ ...agent, bootToken: (text && `${text}x`) || ' ' }),
        TypeError,
      )
      assert.throws(() => writeScript({ ...agent, url: `http://host/${text} ` }), TypeError)
      assert.throws(() => writeScript({ ...agent, kernelArguments: [text] }), TypeError)
      if (text) assert.throws(() => writeAutoexecScript(`http://host/${text}`), TypeError)
    }
  })
})

describe('the script that starts the local disk', () => {
  it('leaves iPXE with an error under UEFI and starts drive 0x80 under BIOS', () => {
    assert.equal(
      writeScript({ kind: 'local', mac }),
      [
        '#!ipxe',
        'echo Stampede: nothing to do for 52:54:00:12:34:56',
        'echo Starting the local disk',
        'iseq ${platform} efi && exit 1 ||',
        'sanboot --no-describe --drive 0x80 ||',
        'echo The local disk cannot be started',
        'exit 1',
        '',
      ].join('\n'),
    )
  })

  it('shows a notice for ten seconds before', () => {
    const lines = writeScript({ kind: 'local', mac, notice: 'The last deploy failed' }).split('\n')
    const shown = lines.indexOf('echo The last deploy failed')
    assert.ok(shown > 0)
    assert.equal(lines[shown + 1], 'sleep 10')
  })
})

describe('the script for iPXE builds that ask for autoexec.ipxe', () => {
  it('asks DHCP unless that is done, then fetches the script of this machine', () => {
    const script = writeAutoexecScript(url)
    assertLabels(script)
    assert.ok(script.includes(`${url}/boot/\${netX/mac:hexhyp}.ipxe || goto retry\n`))
  })
})

describe('text of others on the screen', () => {
  it('cannot become a command, an option or a setting', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: 'binary' })), (text) => {
        for (const line of echoLines(text)) {
          assert.match(line, /^echo [A-Za-z0-9 .,:/()_+=%@<>!?*-]+$/)
          assert.doesNotMatch(line, /^echo -/)
        }
      }),
    )
  })

  it('is cut into a few lines that fit the screen', () => {
    const lines = echoLines(`${'word '.repeat(40)}${'x'.repeat(200)} ${'word '.repeat(400)}`)
    assert.equal(lines.length, 9)
    assert.ok(lines.every((line) => line.length <= 'echo '.length + 80))
  })

  it('keeps its meaning', () => {
    assert.deepEqual(echoLines('Image "debian-13" is 12.0 GB; choose another…\n-n ${net0/mac}'), [
      'echo Image debian-13 is 12.0 GB, choose another... -n ??net0/mac?',
    ])
    assert.deepEqual(echoLines('-n'), ['echo : -n'])
  })
})
