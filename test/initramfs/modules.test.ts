import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { moduleName, parseModulesDep, selectModules } from '../../initramfs/modules.ts'

const DEPENDENCIES = parseModulesDep(
  [
    'kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko kernel/fs/mbcache.ko',
    'kernel/fs/jbd2/jbd2.ko:',
    'kernel/fs/mbcache.ko:',
    'kernel/fs/nls/nls_iso8859-1.ko:',
    '',
  ].join('\n'),
)

describe('modules', () => {
  it('takes a module with all it depends on, once', () => {
    assert.deepEqual(selectModules(['ext4', 'jbd2'], DEPENDENCIES, new Set()), [
      'kernel/fs/ext4/ext4.ko',
      'kernel/fs/jbd2/jbd2.ko',
      'kernel/fs/mbcache.ko',
    ])
  })

  it('takes dashes and underscores in names as the same', () => {
    const expected = ['kernel/fs/nls/nls_iso8859-1.ko']
    assert.deepEqual(selectModules(['nls_iso8859-1'], DEPENDENCIES, new Set()), expected)
    assert.deepEqual(selectModules(['nls-iso8859_1'], DEPENDENCIES, new Set()), expected)
  })

  it('accepts what is built into the kernel, and refuses what does not exist', () => {
    const builtin = new Set(['kernel/drivers/input/serio/i8042.ko'].map(moduleName))
    assert.deepEqual(selectModules(['i8042'], DEPENDENCIES, builtin), [])
    assert.throws(
      () => selectModules(['ext4', 'virtio_nte'], DEPENDENCIES, builtin),
      /The kernel has no module virtio_nte/,
    )
  })
})
