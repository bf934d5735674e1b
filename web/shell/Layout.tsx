import { AppShell, ScrollArea } from '@mantine/core'
import { useDisclosure } from '@mantine/hooks'
import { useEffect, useRef } from 'react'
import { Outlet, useLocation, useNavigationType } from 'react-router'
import { hasNoFocus } from '../components/lost-focus.ts'
import { ConnectionBanner } from './ConnectionBanner.tsx'
import { Header } from './Header.tsx'
import classes from './Layout.module.css'
import { Navigation } from './Navigation.tsx'

const HEADER_PIXELS = 56
const NAVIGATION_PIXELS = 184

/** Header, navigation and the page. */
export function Layout() {
  const [isOpen, { toggle, close }] = useDisclosure()
  const { pathname } = useLocation()
  useEffect(close, [pathname, close])
  // Going back, the browser remembers where one was.
  const isBack = useNavigationType() === 'POP'
  useEffect(() => {
    if (!isBack) window.scrollTo(0, 0)
  }, [pathname, isBack])
  // At first it is where the browser begins: at what skips to the page.
  const lastPath = useRef(pathname)
  useEffect(() => {
    // The link that led here went with its page.
    if (lastPath.current !== pathname && hasNoFocus())
      document.getElementById('page')?.focus({ preventScroll: true })
    lastPath.current = pathname
  }, [pathname])
  return (
    <AppShell
      header={{ height: HEADER_PIXELS }}
      navbar={{ width: NAVIGATION_PIXELS, breakpoint: 'sm', collapsed: { mobile: !isOpen } }}
      padding={{ base: 'sm', sm: 'lg' }}
    >
      <a className={classes.skip} href="#page">
        Skip to the page
      </a>
      <AppShell.Header className={classes.header}>
        <Header isNavigationOpen={isOpen} onToggleNavigation={toggle} />
      </AppShell.Header>
      <AppShell.Navbar aria-label="Main" className={classes.navigation}>
        <AppShell.Section grow component={ScrollArea} p="xs">
          <Navigation />
        </AppShell.Section>
      </AppShell.Navbar>
      <AppShell.Main id="page" tabIndex={-1} className={classes.main}>
        <Outlet />
      </AppShell.Main>
      <ConnectionBanner />
    </AppShell>
  )
}
