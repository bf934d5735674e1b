import { createBrowserRouter, Navigate, type RouteObject } from 'react-router'
import { Layout } from './shell/Layout.tsx'
import { Loading } from './shell/Loading.tsx'
import { NotFoundPage } from './shell/NotFoundPage.tsx'
import { RequireSession } from './shell/RequireSession.tsx'
import { RouteError } from './shell/RouteError.tsx'

type LazyPage = NonNullable<RouteObject['lazy']>

/** A page whose code is loaded when it is first shown. */
function page(path: string, load: () => Promise<React.ComponentType>): RouteObject {
  const lazy: LazyPage = async () => ({ Component: await load() })
  return { path, lazy }
}

/** Pages of somebody who is signed in, a line each. */
const pages: RouteObject[] = [
  page('machines/:mac', async () => (await import('./machine/MachinePage.tsx')).MachinePage),
  page('plan', async () => (await import('./plan/PlanPage.tsx')).PlanPage),
  page('plan/:id', async () => (await import('./plan/PlanView.tsx')).PlanView),
  page('runs', async () => (await import('./runs/RunsPage.tsx')).RunsPage),
  page('runs/fleet', async () => (await import('./runs/FleetPage.tsx')).FleetPage),
  page('runs/:id', async () => (await import('./runs/RunPage.tsx')).RunPage),
  page('runs/:id/receipt', async () => (await import('./runs/ReceiptPage.tsx')).ReceiptPage),
  page('machines', async () => (await import('./machines/MachinesPage.tsx')).MachinesPage),
  page('images', async () => (await import('./images/ImagesPage.tsx')).ImagesPage),
  page('images/:name', async () => (await import('./images/ImagePage.tsx')).ImagePage),
  page('network', async () => (await import('./network/NetworkPage.tsx')).NetworkPage),
  page('settings/:tab?', async () => (await import('./settings/SettingsPage.tsx')).SettingsPage),
]

export const router = createBrowserRouter([
  {
    errorElement: <RouteError />,
    hydrateFallbackElement: <Loading />,
    children: [
      page('login', async () => (await import('./pages/LoginPage.tsx')).LoginPage),
      page('welcome', async () => (await import('./pages/WelcomePage.tsx')).WelcomePage),
      {
        element: <RequireSession />,
        children: [
          {
            element: <Layout />,
            children: [
              { index: true, element: <Navigate to="/machines" replace /> },
              // Not of each page: of one whose code did not come, nothing is shown, its errorElement neither.
              { errorElement: <RouteError />, children: pages },
              { path: '*', element: <NotFoundPage /> },
            ],
          },
        ],
      },
    ],
  },
])
