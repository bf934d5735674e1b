import { createTheme, type CSSVariablesResolver } from '@mantine/core'

export const theme = createTheme({
  primaryColor: 'indigo',
  // Mantine's own shades are too light for text on them (WCAG 2.2, 1.4.3).
  primaryShade: 8,
  autoContrast: true,
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace',
  defaultRadius: 'md',
  cursorType: 'pointer',
  components: {
    // They are <header>s, which axe takes for a second banner of the page.
    ModalHeader: { defaultProps: { role: 'presentation' } },
    // The longest names of images take several lines.
    ModalTitle: { defaultProps: { lh: 'sm', style: { overflowWrap: 'anywhere' } } },
    DrawerHeader: { defaultProps: { role: 'presentation' } },
    Tooltip: { defaultProps: { openDelay: 300, withArrow: true } },
    Modal: { defaultProps: { centered: true, closeButtonProps: { 'aria-label': 'Close' } } },
    Notification: { defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } },
  },
})

/** Of badges and alerts: Mantine's darkest shade of these is too light on its lightest. */
const lightVariantTexts = {
  '--mantine-color-green-light-color': '#1c6b2e',
  '--mantine-color-teal-light-color': '#06634a',
  '--mantine-color-cyan-light-color': '#0a5a6e',
  '--mantine-color-orange-light-color': '#9c3b06',
  '--mantine-color-yellow-light-color': '#7a4d00',
  '--mantine-color-lime-light-color': '#3d6b09',
  '--mantine-color-red-light-color': '#b02525',
  '--mantine-color-blue-light-color': '#155a9b',
}

/** Dimmed text that can still be read: 4.5:1 at least on every background of ours. */
export const cssVariables: CSSVariablesResolver = ({ colors }) => ({
  variables: {
    // Its shade 8 is at the very edge of 4.5:1 with white text.
    '--mantine-color-red-filled': colors.red[9],
    '--mantine-color-red-filled-hover': '#b02525',
  },
  light: {
    ...lightVariantTexts,
    '--mantine-color-dimmed': colors.gray[7],
    '--mantine-color-placeholder': colors.gray[6],
    '--mantine-color-error': colors.red[9],
  },
  dark: {
    '--mantine-color-dimmed': colors.dark[1],
    '--mantine-color-placeholder': colors.dark[2],
    '--mantine-color-error': colors.red[4],
  },
})
