import assert from 'node:assert/strict'
import type { Page } from 'playwright-core'

/** What an operator does on the screens, in the words that are on them. */

export interface Account {
  name: string
  password: string
}

/** From the admin token to the first account. */
export async function createFirstAccount(
  page: Page,
  { url, adminToken, account }: { url: string; adminToken: string; account: Account },
): Promise<void> {
  await page.goto(url)
  await page.getByLabel('Admin token').fill(adminToken)
  await page.getByRole('button', { name: 'Go on' }).click()
  await page.getByLabel('Name').fill(account.name)
  for (const label of ['Password', 'Password again'])
    await page.getByLabel(label, { exact: true }).fill(account.password)
  await page.getByRole('button', { name: 'Create the account' }).click()
  await page.waitForURL(/\/machines$/)
}

/** A new user has the role that the page offers, unless another is chosen. */
export async function addViewer(page: Page, account: Account): Promise<void> {
  await page.getByRole('button', { name: 'Add a user' }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill(account.name)
  await dialog.getByRole('combobox', { name: 'Role' }).click()
  await page.getByRole('option', { name: /^Viewer/ }).click()
  await dialog.getByLabel('Password', { exact: true }).fill(account.password)
  await dialog.getByRole('button', { name: 'Add' }).click()
  await page.getByRole('cell', { name: account.name, exact: true }).waitFor()
}

/** The id of the run whose page is shown. */
export async function runShown(page: Page): Promise<string> {
  await page.waitForURL(/\/runs\/[0-9a-f-]{36}$/)
  return new URL(page.url()).pathname.split('/').at(-1)!
}

/** Keeps what the rows of the machines' table say from now on, as it changes. */
export async function watchRows(page: Page): Promise<() => Promise<string[]>> {
  await page.evaluate(() => {
    const shown: string[] = []
    Object.assign(window, { shown })
    const look = () => {
      for (const row of document.querySelectorAll('tr[id^="machine-"]')) {
        const text = row.textContent ?? ''
        if (shown.at(-1) !== text) shown.push(text)
      }
    }
    const options = { subtree: true, childList: true, characterData: true }
    new MutationObserver(look).observe(document.body, options)
  })
  return () => page.evaluate(() => (window as unknown as { shown: string[] }).shown)
}

/** The stages that rows said they wait for, each once, in the order in which it was first said. */
export function awaitedIn(rows: readonly string[]): string[] {
  const stages = rows.flatMap(
    (row) => /(?:Waits for:|No) ([A-Z][a-zA-Z ]+?)(?:,| for)/.exec(row)?.[1] ?? [],
  )
  return [...new Set(stages)]
}

/** Sees that nothing on the page would change anything. */
export async function assertNoControls(page: Page, names: readonly string[]): Promise<void> {
  for (const name of names)
    for (const role of ['button', 'link'] as const)
      assert.equal(await page.getByRole(role, { name, exact: true }).count(), 0, name)
}
