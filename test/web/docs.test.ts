import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openTestApp } from '#test/support/test-app.ts'
import { openBrowser } from './browser.ts'

describe('the page that shows the API', () => {
  it('works under its own policy, over plain HTTP, without asking anybody else', async () => {
    await using app = await openTestApp()
    await using browser = await openBrowser()
    const { page, assertQuiet } = await browser.open()
    const url = `http://127.0.0.1:${app.port}`
    const others: string[] = []
    page.on('request', (request) => {
      const asked = request.url()
      if (!asked.startsWith(url) && !asked.startsWith('data:')) others.push(asked)
    })
    const response = await page.goto(`${url}/api/docs/`)
    const policy = response?.headers()['content-security-policy'] ?? ''
    assert.match(policy, /script-src [^;]*'self'/)
    assert.doesNotMatch(policy, /script-src [^;]*'unsafe/)
    assert.doesNotMatch(policy, /upgrade-insecure-requests/)

    await page.getByRole('heading', { name: /^Stampede/ }).waitFor()
    const operation = page.locator('#operations-machines-getMachine')
    await operation.getByText('Read a machine', { exact: true }).click()
    await operation.getByText('rack3-node7').first().waitFor() // of its example
    assert.deepEqual(others, [])
    assertQuiet()
  })
})
