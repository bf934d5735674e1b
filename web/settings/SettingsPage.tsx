import { Tabs } from '@mantine/core'
import { Navigate, useNavigate, useParams } from 'react-router'
import { useMay } from '../api/session.ts'
import { PageTitle } from '../components/PageTitle.tsx'
import { Account } from './Account.tsx'
import { AuditLog } from './AuditLog.tsx'
import { Health } from './Health.tsx'
import { Store } from './Store.tsx'
import { Tokens } from './Tokens.tsx'
import { Users } from './Users.tsx'
import { Webhooks } from './Webhooks.tsx'

const TABS = {
  health: { label: 'Health', content: Health, isForAdmins: false },
  store: { label: 'Store', content: Store, isForAdmins: false },
  account: { label: 'Your account', content: Account, isForAdmins: false },
  tokens: { label: 'API tokens', content: Tokens, isForAdmins: false },
  users: { label: 'Users', content: Users, isForAdmins: true },
  webhooks: { label: 'Webhooks', content: Webhooks, isForAdmins: true },
  audit: { label: 'Audit log', content: AuditLog, isForAdmins: true },
} as const
type TabName = keyof typeof TABS

/** One address for each tab, so that it can be linked to and gone back to. */
export function SettingsPage() {
  const { tab = 'health' } = useParams()
  const navigate = useNavigate()
  const isAdmin = useMay('admin')
  const names = (Object.keys(TABS) as TabName[]).filter(
    (name) => isAdmin || !TABS[name].isForAdmins,
  )
  const shown = names.find((name) => name === tab)
  if (!shown) return <Navigate to="/settings/health" replace />
  const Content = TABS[shown].content
  return (
    <>
      <PageTitle title="Settings" />
      <Tabs value={shown} onChange={(name) => void navigate(`/settings/${name}`)}>
        <Tabs.List mb="md">
          {names.map((name) => (
            <Tabs.Tab key={name} value={name}>
              {TABS[name].label}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={shown}>
          <Content />
        </Tabs.Panel>
      </Tabs>
    </>
  )
}
